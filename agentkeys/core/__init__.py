"""Decisions: no clock, file, environment, socket or thread. Time and facts arrive inside events."""
