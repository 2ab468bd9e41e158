"""`demo`: real canisters run, break, and come back."""

from sandbox.cli.demo.command import demo

__all__ = ["demo"]
