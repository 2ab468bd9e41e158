"""Maintenance of canisters: announced, in force from a time on, over by itself.

A notice is kept in the state directory (`notices`), so that the command line writes it beside a running server. While
it is in force, the gateway answers with a page that says until when, and calls of users are rejected.
"""
