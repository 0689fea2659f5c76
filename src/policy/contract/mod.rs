//! As agreed: messages held against the published OpenAPI description.
