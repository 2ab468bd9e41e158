"""The command `demo`: real canisters are broken and restored."""

from sandbox.cli.demo.command import demo

__all__ = ["demo"]
