"""Runners of whole scripts and records: the platform's classic drun scripts, and replays of a sandbox's record."""

from sandbox.replay.drun import Answer, Drun, Modules
from sandbox.replay.replay import Replay, replay
from sandbox.replay.script import Line, ScriptError, octets, read_script

__all__ = ["Answer", "Drun", "Line", "Modules", "Replay", "ScriptError", "octets", "read_script", "replay"]
