//! What a process does. Roles run together or apart.

use std::{fmt, str::FromStr};

use super::{Purpose, reader::Reader};

/// One thing a process can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The data plane.
    Gateway,
    /// API, UI, event feeds; the only role that writes configuration.
    Admin,
    /// Keeps the read models in `PostgreSQL`.
    Projector,
    /// Delivers webhooks.
    Reactor,
}

/// What one process does: at least one role, unless it is only a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles {
    /// The data plane.
    pub gateway: bool,
    /// API, UI, event feeds.
    pub admin: bool,
    /// Read models.
    pub projector: bool,
    /// Webhooks.
    pub reactor: bool,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Admin, Self::Projector, Self::Reactor];

    /// The name, as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Admin => "admin",
            Self::Projector => "projector",
            Self::Reactor => "reactor",
        }
    }
}

impl Roles {
    /// All of them.
    pub const ALL: Self = Self {
        gateway: true,
        admin: true,
        projector: true,
        reactor: true,
    };

    /// Whether this is one of them.
    pub fn contains(self, role: Role) -> bool {
        match role {
            Role::Gateway => self.gateway,
            Role::Admin => self.admin,
            Role::Projector => self.projector,
            Role::Reactor => self.reactor,
        }
    }

    fn add(&mut self, role: Role) {
        match role {
            Role::Gateway => self.gateway = true,
            Role::Admin => self.admin = true,
            Role::Projector => self.projector = true,
            Role::Reactor => self.reactor = true,
        }
    }
}

/// Names separated by commas.
impl FromStr for Roles {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut roles = Self::default();
        for name in text.split(',').map(str::trim) {
            let role = Role::ALL.into_iter().find(|role| role.name() == name);
            roles
                .add(role.ok_or_else(|| format!("{name:?} is no role: gateway, admin, projector, reactor"))?);
        }
        Ok(roles)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Role::ALL
            .into_iter()
            .filter(|role| self.contains(*role))
            .map(Role::name);
        out.write_str(&names.collect::<Vec<_>>().join(","))
    }
}

pub(super) fn read(reader: &mut Reader<'_>, purpose: Purpose) -> Roles {
    match purpose {
        Purpose::Up { .. } => return Roles::ALL,
        Purpose::Client => return Roles::default(),
        Purpose::Serve => {}
    }
    let Some(found) = reader.find(&["FLEXGATE_ROLES"]) else {
        reader.mistake("say what to serve: --role gateway,admin,projector,reactor, or some of them");
        return Roles::default();
    };
    reader.parse(found, str::parse).unwrap_or_default()
}
