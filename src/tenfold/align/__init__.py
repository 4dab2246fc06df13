"""Alignment: chat format, supervised fine-tuning, rewards, policies."""
