//! Bridge networks, addresses, firewall rules, published ports and DNS.
