"""Tests of the index. What any index must do is written against the Protocol; the rest is about the SQLite file."""
