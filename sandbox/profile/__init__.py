"""Profiles: instructions by function and call path, their files and pictures. Knows no canister and no engine."""

from sandbox.profile.call_tree import CallTree, Frame, FrameKind, Node
from sandbox.profile.coverage import ModuleCoverage
from sandbox.profile.profile import FORMATS, Coverage, FunctionCost, Profile

__all__ = ["FORMATS", "CallTree", "Coverage", "Frame", "FrameKind", "FunctionCost", "ModuleCoverage", "Node", "Profile"]
