"""OAuth: the client of the token endpoint, and the service that keeps every stream in a live token."""
