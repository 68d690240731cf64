"""The OAuth 2.0 authorization framework (RFC 6749), client credentials grant."""
