//! Published ports: connections and datagrams carried from the host's ports into containers.
