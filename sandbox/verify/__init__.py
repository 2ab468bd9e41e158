"""Checks that run whole scripts: the platform's classic drun scripts."""

from sandbox.verify.drun import Answer, Drun, Modules
from sandbox.verify.script import Line, ScriptError, octets, read_script

__all__ = ["Answer", "Drun", "Line", "Modules", "ScriptError", "octets", "read_script"]
