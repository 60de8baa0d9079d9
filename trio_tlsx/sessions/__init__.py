"""Session resumption, tickets, anti-replay and external pre-shared keys."""
