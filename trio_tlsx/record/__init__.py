"""The record layer: protection, receiving and sending of records."""
