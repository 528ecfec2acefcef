"""Adapters: one file a kind of platform, and the WebSocket they share. The pipeline never names a platform."""
