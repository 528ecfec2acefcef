"""Schemas of event topics, in a registry with Confluent's API."""
