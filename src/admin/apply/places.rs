//! Where in what was sent that stands which is wrong with it.

use std::collections::HashMap;

use flexgate_schemas::event::Entity;

use super::Configuration;
use crate::{
    admin::error::Error,
    config::{
        Place,
        file::{self, Loaded},
    },
    domain::Refusal,
    journal::TransactError,
    problem::FieldError,
};

/// The ids in the lists of a request, in order.
pub(super) struct Places {
    upstreams: Vec<Entity>,
    routes: Vec<Entity>,
    keys: Vec<Entity>,
    withheld: Vec<Entity>,
    /// The text that they were read from, if that is no JSON.
    text: Option<Box<Loaded>>,
}

impl Places {
    /// Those of a configuration, with the text that it was read from.
    pub(super) fn of(configuration: &Configuration, text: Option<Box<Loaded>>) -> Self {
        let Configuration {
            upstreams,
            routes,
            keys,
            withheld_keys,
            ..
        } = configuration;
        Self {
            upstreams: upstreams
                .iter()
                .map(|own| Entity::Upstream(own.name.clone()))
                .collect(),
            routes: routes.iter().map(|own| Entity::Route(own.id.clone())).collect(),
            keys: keys.iter().map(|own| Entity::Key(own.id())).collect(),
            withheld: withheld_keys.iter().map(|id| Entity::Key(*id)).collect(),
            text,
        }
    }

    /// Points at the item that made the whole of it fail.
    pub(super) fn located(&self, error: Error) -> Error {
        match error {
            Error::Transact(TransactError::Refused(Refusal::Item { item, refusal })) => {
                let list = self.pointers([&item]).remove(0);
                let pointer = format!("{list}{}", refusal.pointer().unwrap_or_default());
                let refusal = Refusal::Item { item, refusal };
                Error::Item {
                    field: field(self.text.as_deref(), pointer, refusal.to_string()).into(),
                    refusal,
                }
            }
            Error::Transact(TransactError::Refused(Refusal::FileConflicts { file, conflicts })) => {
                let pointers = self.pointers(conflicts.iter().map(|conflict| &conflict.entity));
                let details = conflicts.iter().map(ToString::to_string);
                Error::Contradicts {
                    fields: fields(self.text.as_deref(), pointers.into_iter().zip(details)),
                    refusal: Refusal::FileConflicts { file, conflicts },
                }
            }
            other => other,
        }
    }

    /// Where each of these stands; a list, for what is not in it. The first, where one is listed twice.
    fn pointers<'e>(&self, entities: impl IntoIterator<Item = &'e Entity>) -> Vec<String> {
        let lists = [
            ("/keys", &self.keys),
            ("/withheldKeys", &self.withheld),
            ("/routes", &self.routes),
            ("/upstreams", &self.upstreams),
        ];
        let mut places = HashMap::new();
        for (list, own) in lists {
            for (position, entity) in own.iter().enumerate().rev() {
                places.insert(entity, (list, position));
            }
        }
        let place = |entity: &Entity| match (places.get(entity), entity) {
            (Some((list, position)), _) => format!("{list}/{position}"),
            (None, Entity::Route(_)) => "/routes".to_owned(),
            (None, Entity::Upstream(_)) => "/upstreams".to_owned(),
            (None, Entity::Key(_)) => "/keys".to_owned(),
            (None, Entity::Settings) => "/settings".to_owned(),
            (None, Entity::Log) => String::new(),
        };
        entities.into_iter().map(place).collect()
    }
}

/// What is wrong in this place of what was sent.
pub(super) fn field(text: Option<&Loaded>, pointer: String, detail: String) -> FieldError {
    fields(text, std::iter::once((pointer, detail))).remove(0)
}

/// What is wrong in these places of what was sent, with their lines if that was the text of a file.
fn fields(text: Option<&Loaded>, wrong: impl Iterator<Item = (String, String)>) -> Vec<FieldError> {
    let Some(text) = text else {
        return wrong
            .map(|(pointer, detail)| FieldError::new(pointer, detail))
            .collect();
    };
    let places = text.places();
    wrong
        .map(|(pointer, detail)| {
            let place = places.at(&pointer);
            FieldError::new(file::pointer_in_file(&pointer), detail)
                .at(place.as_ref().map(Place::line_and_column))
        })
        .collect()
}
