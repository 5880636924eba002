// The module's files join as they are written.
