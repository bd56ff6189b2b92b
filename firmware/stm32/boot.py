"""Runs first at each start; nothing on this board needs to be set before its program does."""
