//! What is the same for routes, upstreams and keys on the command line.

use http::{HeaderMap, Method, header};
use serde_json::{Map, Value};

use super::{
    args::How,
    client::{AdminClient, Answer},
    exit::{Exit, Failure},
    invocation::Invocation,
    write,
};
use crate::config::escape;

/// A column of a list: its title, and what of an entity stands in it.
pub(super) type Column = (&'static str, fn(&Value) -> String);

/// A kind of entity.
pub(super) struct Kind<const N: usize> {
    /// In words: `route`.
    pub(super) noun: &'static str,
    /// Where all of them are.
    pub(super) path: &'static str,
    /// The field with the identity.
    pub(super) identity: &'static str,
    /// The columns of a list, each with its field.
    pub(super) columns: [Column; N],
}

impl<const N: usize> Kind<N> {
    fn at(&self, id: &str) -> String {
        format!("{}/{}", self.path, escape(id))
    }

    pub(super) fn list(&self, run: &Invocation) -> Result<Exit, Failure> {
        let entities = run.with_admin(async |client| self.all(&client).await)?;
        if run.output.is_data() {
            return run.output.data(&entities);
        }
        if entities.is_empty() {
            run.output.note(&format!(
                "there are no {}s yet: `flexgate {}s create --help`",
                self.noun, self.noun
            ));
        }
        let rows = entities
            .iter()
            .map(|entity| self.columns.map(|(_, cell)| cell(entity)));
        run.output.table(self.columns.map(|(title, _)| title), rows)
    }

    /// All of them, page by page, where they come in pages.
    async fn all(&self, client: &AdminClient) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        let mut next = Some(self.path.to_owned());
        while let Some(page) = next {
            let mut answer = client.get(&page).await?;
            all.extend(answer.body.as_array_mut().map(std::mem::take).unwrap_or_default());
            next = next_page(&answer.headers);
        }
        Ok(all)
    }

    pub(super) fn get(&self, run: &Invocation, id: &str) -> Result<Exit, Failure> {
        let answer = run.with_admin(async |client| client.get(&self.at(id)).await)?;
        if run.output.is_data() {
            return run.output.data(&answer.body);
        }
        let fields = answer.body.as_object().into_iter().flatten();
        run.output
            .pairs(fields.map(|(name, value)| [name.clone(), plain(value)]))
    }

    pub(super) fn create(
        &self,
        run: &Invocation,
        fields: Map<String, Value>,
        how: &How,
    ) -> Result<Exit, Failure> {
        let entity = Value::Object(fields);
        let answer = run.with_admin(async |client| write::create(&client, self.path, how, &entity).await)?;
        let id = answer.body.get(self.identity).map(plain).unwrap_or_default();
        write::report(&run.output, &format!("{} {id} created", self.noun), &answer)
    }

    pub(super) fn update(
        &self,
        run: &Invocation,
        id: &str,
        fields: Map<String, Value>,
        how: &How,
    ) -> Result<Exit, Failure> {
        if fields.is_empty() {
            let next = format!("name a field: `flexgate {}s update --help`", self.noun);
            return Err(Failure::new(Exit::Usage, "there is nothing to change").next(next));
        }
        self.amend(run, id, Method::PATCH, Some(&fields.into()), how, "updated")
    }

    pub(super) fn delete(&self, run: &Invocation, id: &str, how: &How) -> Result<Exit, Failure> {
        self.amend(run, id, Method::DELETE, None, how, "deleted")
    }

    /// Changes one, and says what was done to it.
    pub(super) fn amend(
        &self,
        run: &Invocation,
        id: &str,
        method: Method,
        patch: Option<&Value>,
        how: &How,
        done: &str,
    ) -> Result<Exit, Failure> {
        let answer = self.act(run, id, (method, ""), patch, how)?;
        write::report(&run.output, &format!("{} {id} {done}", self.noun), &answer)
    }

    /// Does something to one, as it is now.
    pub(super) fn act(
        &self,
        run: &Invocation,
        id: &str,
        (method, below): (Method, &str),
        body: Option<&Value>,
        how: &How,
    ) -> Result<Answer, Failure> {
        run.with_admin(async |client| write::amend(&client, (method, below), &self.at(id), how, body).await)
    }
}

/// The target of `Link: <...>; rel="next"` (RFC 8288).
pub(super) fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(header::LINK)?.to_str().ok()?;
    let (target, _) = link.strip_prefix('<')?.split_once(">; rel=\"next\"")?;
    Some(target.to_owned())
}

/// A value as a cell: text without quotes, anything else as JSON, nothing as nothing.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A field as a cell.
pub(super) fn cell(entity: &Value, field: &str) -> String {
    entity.get(field).map(plain).unwrap_or_default()
}

/// A list of texts as a cell.
pub(super) fn joined(entity: &Value, field: &str) -> String {
    let items = entity.get(field).and_then(Value::as_array).into_iter().flatten();
    items.map(plain).collect::<Vec<_>>().join(",")
}
