"""Certificates: exactness at every operand length, from every local context that can occur."""
