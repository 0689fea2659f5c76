//! How often: quotas that hold across shards.
