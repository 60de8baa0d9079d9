"""The handshake: each role top to bottom, as in the RFC, as generators that yield wants."""
