"""The handshake: generators that read as the RFC's diagrams and yield wants."""
