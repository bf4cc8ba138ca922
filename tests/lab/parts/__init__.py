"""A small site in private namespaces: switch, gateway, clients, servers, and traffic whose every packet is dated."""
