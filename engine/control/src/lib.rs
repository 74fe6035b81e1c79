//! The control plane: configuration, reload, admin.
