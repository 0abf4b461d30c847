//! From which addresses requests may come.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::networks;

/// The most entries of each list.
pub const ENTRIES_MAX: usize = 1024;

/// From where requests may come: addresses and networks. What is denied is denied, whatever allows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// The only clients that are let through; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "networks")]
    #[schemars(with = "Vec<String>", length(max = ENTRIES_MAX))]
    pub allow: Vec<IpNet>,
    /// Clients that are not let through.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "networks")]
    #[schemars(with = "Vec<String>", length(max = ENTRIES_MAX))]
    pub deny: Vec<IpNet>,
}

crate::rare::usual!(Access);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_take_addresses_and_networks() {
        let json = r#"{"allow":["10.0.0.0/8","::1"],"deny":["10.0.0.7"]}"#;
        let access: Access = serde_json::from_str(json).unwrap();
        assert_eq!(
            serde_json::to_string(&access).unwrap(),
            r#"{"allow":["10.0.0.0/8","::1/128"],"deny":["10.0.0.7/32"]}"#
        );
        for wrong in [
            r#"{"allow":["a.example"]}"#,
            r#"{"block":[]}"#,
            r#"{"allow":"::1"}"#,
        ] {
            assert!(serde_json::from_str::<Access>(wrong).is_err(), "{wrong}");
        }
    }
}
