//! factory-service
