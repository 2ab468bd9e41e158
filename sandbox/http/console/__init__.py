"""The console: pages for the owner of the sandbox, in a browser.

Rendered here, with no build step and nothing loaded from elsewhere. Pages read by the operations of the sandbox's own
interface (`gather`), are made of elements (`pages`, `canister_page`, `diff_page`), and act by forms that name an
operation (`web`). `forms` makes a form from a Candid type, and Candid text from what was filled in.
"""
