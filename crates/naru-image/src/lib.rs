//! Image references, the image store, layer unpacking and root file systems.
