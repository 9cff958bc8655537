"""Bytes on disk and in the keychain."""
