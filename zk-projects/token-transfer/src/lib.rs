//! Private transfers of a shielded ERC-20 token.
