//! The authorization matrix: what each class promises each principal about each kind of thing, and requests for it.
//!
//! In scope: the class table of the specification, written down a second time, and recipes that turn an operation of
//! an OpenAPI document into requests. Out of scope: sending them (the worker's tests), `auth::permission`: nothing
//! here is computed from it, or the matrix would only prove that the code does what the code does.

use http::Method;
use serde_json::Value;
use std::collections::BTreeMap;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Role superadmin, of no organization.
    Superadmin,
    /// Role admin of the own organization.
    Admin,
    /// Role user, assigned to the own instance.
    User,
    /// A key of the own project.
    ProjectKey,
}

impl Who {
    /// All of them.
    pub const ALL: [Who; 4] = [Who::Superadmin, Who::Admin, Who::User, Who::ProjectKey];

    /// Whether a key of the default kind has that scope: user keys have `*`, project keys a list.
    fn has_scope(self, scope: &str) -> bool {
        const OF_PROJECTS: [&str; 7] = [
            "images:read",
            "images:write",
            "tasks:read",
            "tasks:write",
            "repo:read",
            "repo:write",
            "telemetry:read",
        ];
        self != Who::ProjectKey || scope == "*:write" || OF_PROJECTS.contains(&scope)
    }
}

/// How the thing that is asked for is related to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The operation is about no thing in particular.
    Nowhere,
    /// Own organization, assigned instance, own project, own user, own key.
    Own,
    /// Another project of the own instance.
    Beside,
    /// Another instance, user or key of the own organization.
    Sibling,
    /// Of another organization.
    Foreign,
    /// It does not exist.
    Missing,
}

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing in particular: lists, and what concerns the caller alone.
    Nothing,
    /// An organization.
    Organization,
    /// An instance.
    Instance,
    /// A project.
    Project,
    /// A user; the own one is the caller.
    User,
    /// A user of an organization, never the caller.
    Member,
    /// A key of a user; the own one is the caller's.
    Key,
    /// A key of a project.
    ProjectKey,
    /// A session; the own one is of the caller's key.
    Session,
    /// Something else that belongs to an instance.
    Thing,
}

impl Kind {
    /// The places that a thing of this kind can have.
    pub const fn places(self) -> &'static [Place] {
        use Place::{Beside, Foreign, Missing, Nowhere, Own, Sibling};
        match self {
            Kind::Nothing => &[Nowhere],
            Kind::Organization | Kind::Member => &[Own, Foreign, Missing],
            Kind::Instance | Kind::User | Kind::Key | Kind::Session | Kind::Thing => {
                &[Own, Sibling, Foreign, Missing]
            }
            Kind::Project | Kind::ProjectKey => &[Own, Beside, Sibling, Foreign, Missing],
        }
    }
}

/// What the specification promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Allowed,
    /// 403 `role_required` or `forbidden`.
    Refused,
    /// 403 `scope_missing`.
    ScopeMissing,
    /// 404 `not_found`, the same for what is foreign and what is missing.
    Hidden,
}

impl Verdict {
    /// Whether an answer with that status and code keeps the promise; `success` is the status when it is done.
    pub fn is_kept(self, status: u16, code: &str, success: u16) -> bool {
        match self {
            Verdict::Allowed => status == success,
            Verdict::Refused => status == 403 && matches!(code, "role_required" | "forbidden"),
            Verdict::ScopeMissing => status == 403 && code == "scope_missing",
            Verdict::Hidden => status == 404 && code == "not_found",
        }
    }
}

use Verdict::{Allowed as OK, Hidden as NO, Refused as DENY};

/// The class table: own, sibling and foreign things for superadmin, admin, user and project key. An own thing of a user
/// is one in an assigned instance; a project key's own thing is its project, and for `SELF` the key itself.
// One row a class, in the order of the specification.
#[rustfmt::skip]
const CLASSES: [(&str, [[Verdict; 3]; 4]); 7] = [
    ("P",    [[OK, OK, OK], [OK, OK, OK],       [OK, OK, OK],       [OK, OK, OK]]),
    ("ANY",  [[OK, OK, OK], [OK, OK, NO],       [OK, DENY, NO],     [OK, DENY, NO]]),
    ("O",    [[OK, OK, OK], [OK, OK, NO],       [OK, OK, NO],       [DENY, DENY, NO]]),
    ("U",    [[OK, OK, OK], [OK, OK, NO],       [OK, DENY, NO],     [OK, DENY, NO]]),
    ("SELF", [[OK, OK, OK], [OK, OK, NO],       [OK, DENY, NO],     [OK, DENY, NO]]),
    ("A",    [[OK, OK, OK], [OK, OK, NO],       [DENY, DENY, NO],   [DENY, DENY, NO]]),
    ("S",    [[OK, OK, OK], [DENY, DENY, NO],   [DENY, DENY, NO],   [DENY, DENY, NO]]),
];

/// What the class promises, before scopes are looked at. A class that is not in the table promises nothing to anybody.
pub fn promise(class: &str, who: Who, place: Place) -> Verdict {
    let row = CLASSES.iter().find(|(name, _)| *name == class);
    let Some((_, row)) = row else {
        return Verdict::Hidden;
    };
    let [superadmin, admin, user, project_key] = row;
    let [own, sibling, foreign] = match who {
        Who::Superadmin => superadmin,
        Who::Admin => admin,
        Who::User => user,
        Who::ProjectKey => project_key,
    };
    match place {
        Place::Missing => Verdict::Hidden,
        // Another project of an own instance is as good as the own one for everybody but a project's key.
        Place::Beside if who == Who::ProjectKey => *sibling,
        Place::Nowhere | Place::Own | Place::Beside => *own,
        Place::Sibling => *sibling,
        Place::Foreign => *foreign,
    }
}

/// One operation of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `operationId`.
    pub id: String,
    /// Method.
    pub method: Method,
    /// Path template.
    pub path: String,
    /// `x-class`.
    pub class: String,
    /// `x-scope`.
    pub scope: Option<String>,
    /// The documented statuses below 300.
    pub success: Vec<u16>,
}

const METHODS: [&str; 8] = [
    "get", "put", "post", "patch", "delete", "head", "options", "trace",
];

/// The operations of an OpenAPI document, in its order.
///
/// # Errors
/// A text naming what is missing: an operation without a class is a mistake, not an exception.
pub fn operations(document: &str) -> Result<Vec<Listed>, String> {
    let document: Value = serde_json::from_str(document).map_err(|error| error.to_string())?;
    let paths = document["paths"].as_object().ok_or("no paths")?;
    let mut listed = Vec::new();
    for (path, methods) in paths {
        let methods = methods.as_object().ok_or("a path without methods")?;
        // A path also has members of its own: parameters, a description.
        let methods = methods
            .iter()
            .filter(|(name, _)| METHODS.contains(&name.as_str()));
        for (method, operation) in methods {
            let text = |member: &str| operation[member].as_str().map(str::to_owned);
            let id = text("operationId").ok_or_else(|| format!("{method} {path}: no id"))?;
            let responses = operation["responses"].as_object();
            listed.push(Listed {
                method: method.to_uppercase().parse().map_err(|_| "no method")?,
                path: path.clone(),
                class: text("x-class").ok_or_else(|| format!("{id}: no x-class"))?,
                scope: text("x-scope"),
                success: responses
                    .into_iter()
                    .flat_map(|responses| responses.keys())
                    .filter_map(|status| status.parse().ok())
                    .filter(|status| *status < 300 || *status == 308)
                    .collect(),
                id,
            });
        }
    }
    Ok(listed)
}

/// A request that a recipe was filled in for.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    /// Method.
    pub method: Method,
    /// Path with its query.
    pub path: String,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Option<Value>,
}

/// How to ask for one operation. Texts hold placeholders, `{instance_id}`, that are filled in for each place.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// `operationId`.
    pub operation: &'static str,
    /// The class that the specification gives it; the document must say the same.
    pub class: &'static str,
    /// The scope that the specification gives it; the document must say the same.
    pub scope: Option<&'static str>,
    /// What it is about.
    pub kind: Kind,
    query: &'static str,
    body: Option<Value>,
    headers: Vec<(&'static str, &'static str)>,
    fixed: Vec<(&'static str, &'static str)>,
    success: Option<u16>,
    first: Vec<(Method, &'static str, Option<Value>)>,
    before: &'static str,
    cells: Vec<(Who, Place, Verdict)>,
    stricter: Option<&'static str>,
    spends: Vec<&'static str>,
}

impl Recipe {
    /// Of that operation with class and scope as the specification has them; `-` stands for no scope.
    pub fn of(
        operation: &'static str,
        class: &'static str,
        scope: &'static str,
        kind: Kind,
    ) -> Self {
        Self {
            operation,
            class,
            scope: (scope != "-").then_some(scope),
            kind,
            query: "",
            body: None,
            headers: Vec::new(),
            fixed: Vec::new(),
            success: None,
            first: Vec::new(),
            before: "",
            cells: Vec::new(),
            stricter: None,
            spends: Vec::new(),
        }
    }

    /// With that JSON body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With that query, without its question mark.
    #[must_use]
    pub fn query(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }

    /// With that header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// `If-Match: "1"`: the thing is as it was made.
    #[must_use]
    pub fn if_first_version(self) -> Self {
        self.header("if-match", "\"1\"")
    }

    /// That placeholder has one value in every place.
    #[must_use]
    pub fn fix(mut self, name: &'static str, value: &'static str) -> Self {
        self.fixed.push((name, value));
        self
    }

    /// The status when it is done, where the document has several.
    #[must_use]
    pub fn success(mut self, status: u16) -> Self {
        self.success = Some(status);
        self
    }

    /// A request that a superadmin makes first, unless the thing is missing.
    #[must_use]
    pub fn first(mut self, method: Method, path: &'static str, body: Option<Value>) -> Self {
        self.first.push((method, path, body));
        self
    }

    /// Statements that are run first, unless the thing is missing.
    #[must_use]
    pub fn before(mut self, sql: &'static str) -> Self {
        self.before = sql;
        self
    }

    /// A cell that the specification decides apart from the table. Say where in a comment.
    #[must_use]
    pub fn cell(mut self, who: Who, place: Place, verdict: Verdict) -> Self {
        self.cells.push((who, place, verdict));
        self
    }

    /// For things of this kind the specification names a stricter class than that of the operation.
    #[must_use]
    pub fn stricter(mut self, class: &'static str) -> Self {
        self.stricter = Some(class);
        self
    }

    /// It hands that scope on, so it fails without it although it is not the operation's own.
    #[must_use]
    pub fn spends(mut self, scope: &'static str) -> Self {
        self.spends.push(scope);
        self
    }

    /// What the specification promises.
    pub fn promise(&self, who: Who, place: Place) -> Verdict {
        let apart = self
            .cells
            .iter()
            .find(|cell| (cell.0, cell.1) == (who, place));
        if let Some((_, _, verdict)) = apart {
            return *verdict;
        }
        let class = self.stricter.unwrap_or(self.class);
        let by_class = promise(class, who, place);
        if by_class == Verdict::Allowed && self.scope.is_some_and(|scope| !who.has_scope(scope)) {
            return Verdict::ScopeMissing;
        }
        by_class
    }

    /// Who of the least power may do it to an own thing; `None` when nobody may.
    pub fn least(&self) -> Option<(Who, Place)> {
        let place = *self.kind.places().first()?;
        [Who::User, Who::Admin, Who::Superadmin, Who::ProjectKey]
            .into_iter()
            .find(|who| self.promise(*who, place) == Verdict::Allowed)
            .map(|who| (who, place))
    }

    /// The scopes without which the operation fails.
    pub fn needed(&self) -> Vec<&'static str> {
        self.scope
            .into_iter()
            .chain(self.spends.iter().copied())
            .collect()
    }

    /// The status when it is done.
    pub fn done(&self, listed: &Listed) -> u16 {
        self.success
            .or_else(|| listed.success.first().copied())
            .unwrap_or(200)
    }

    /// Whether document and specification agree about the operation.
    ///
    /// # Errors
    /// What differs.
    pub fn agrees(&self, listed: &Listed) -> Result<(), String> {
        let id = self.operation;
        if listed.class != self.class {
            return Err(format!(
                "{id}: x-class {} is not {}",
                listed.class, self.class
            ));
        }
        if listed.scope.as_deref() != self.scope {
            return Err(format!(
                "{id}: x-scope {:?} is not {:?}",
                listed.scope, self.scope
            ));
        }
        let done = self.done(listed);
        if listed.success.contains(&done) {
            Ok(())
        } else {
            Err(format!("{id}: {done} is not among {:?}", listed.success))
        }
    }

    /// The request itself.
    ///
    /// # Errors
    /// A placeholder that nothing fills.
    pub fn request(
        &self,
        listed: &Listed,
        values: &BTreeMap<&'static str, String>,
    ) -> Result<Filled, String> {
        let mut path = listed.path.clone();
        if !self.query.is_empty() {
            path = format!("{path}?{}", self.query);
        }
        let headers = self.headers.iter();
        let headers: Result<Vec<_>, String> = headers
            .map(|(name, value)| Ok((*name, self.fill(value, values)?)))
            .collect();
        Ok(Filled {
            method: listed.method.clone(),
            path: self.fill(&path, values)?,
            headers: headers?,
            body: self
                .body
                .as_ref()
                .map(|body| self.fill_json(body, values))
                .transpose()?,
        })
    }

    /// What a superadmin asks for first.
    ///
    /// # Errors
    /// A placeholder that nothing fills.
    pub fn preparations(
        &self,
        values: &BTreeMap<&'static str, String>,
    ) -> Result<Vec<Filled>, String> {
        let first = self.first.iter();
        first
            .map(|(method, path, body)| {
                Ok(Filled {
                    method: method.clone(),
                    path: self.fill(path, values)?,
                    headers: Vec::new(),
                    body: body
                        .as_ref()
                        .map(|body| self.fill_json(body, values))
                        .transpose()?,
                })
            })
            .collect()
    }

    /// The statements that are run first; empty when there are none.
    ///
    /// # Errors
    /// A placeholder that nothing fills.
    pub fn statements(&self, values: &BTreeMap<&'static str, String>) -> Result<String, String> {
        self.fill(self.before, values)
    }

    fn fill(&self, text: &str, values: &BTreeMap<&'static str, String>) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let name = after.split('}').next().unwrap_or_default();
            let is_name = !name.is_empty()
                && name.len() < after.len()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if !is_name {
                filled.push('{');
                rest = after;
                continue;
            }
            let fixed = self.fixed.iter().find(|(fixed, _)| *fixed == name);
            let value = match fixed {
                Some((_, value)) => *value,
                None => values
                    .get(name)
                    .ok_or_else(|| format!("{}: nothing fills {{{name}}}", self.operation))?,
            };
            filled.push_str(value);
            rest = after.get(name.len() + 1..).unwrap_or_default();
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn fill_json(
        &self,
        value: &Value,
        values: &BTreeMap<&'static str, String>,
    ) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill(text, values)?),
            Value::Array(items) => {
                let items = items.iter().map(|item| self.fill_json(item, values));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let members = members.iter();
                let members = members
                    .map(|(name, member)| Ok((name.clone(), self.fill_json(member, values)?)));
                Value::Object(members.collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }
}

/// Compares recipes and document both ways: operations without a recipe, recipes without an operation that are not
/// awaited, awaited ones that have arrived, and disagreements about class, scope and status.
pub fn differences(listed: &[Listed], recipes: &[Recipe], awaited: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for operation in listed {
        let own = recipes
            .iter()
            .filter(|recipe| recipe.operation == operation.id);
        let mut any = false;
        for recipe in own {
            any = true;
            found.extend(recipe.agrees(operation).err());
        }
        if !any {
            found.push(format!(
                "{}: the document has it, no recipe asks for it",
                operation.id
            ));
        }
    }
    for recipe in recipes {
        let id = recipe.operation;
        let there = listed.iter().any(|operation| operation.id == id);
        match (there, awaited.contains(&id)) {
            (false, false) => found.push(format!("{id}: a recipe asks for it, no document has it")),
            (true, true) => found.push(format!("{id}: it has arrived; take it out of AWAITED")),
            _ => {}
        }
    }
    for id in awaited {
        if !recipes.iter().any(|recipe| recipe.operation == *id) {
            found.push(format!("{id}: awaited, but no recipe asks for it"));
        }
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DOCUMENT: &str = r#"{"paths": {"/thing/{thing_id}": {"patch": {
        "operationId": "update_thing", "x-class": "A", "x-scope": "config:write",
        "responses": {"200": {}, "404": {}}}}}}"#;

    fn recipe() -> Recipe {
        Recipe::of("update_thing", "A", "config:write", Kind::Instance)
    }

    #[test]
    fn the_table_says_what_the_specification_says() {
        use Place::{Beside, Foreign, Missing, Own, Sibling};
        for (class, who, place, verdict) in [
            ("U", Who::User, Sibling, Verdict::Refused),
            ("U", Who::Admin, Sibling, Verdict::Allowed),
            ("U", Who::ProjectKey, Beside, Verdict::Refused),
            ("U", Who::User, Beside, Verdict::Allowed),
            ("O", Who::ProjectKey, Own, Verdict::Refused),
            ("O", Who::User, Foreign, Verdict::Hidden),
            ("S", Who::Admin, Own, Verdict::Refused),
            ("A", Who::Superadmin, Foreign, Verdict::Allowed),
            ("A", Who::Superadmin, Missing, Verdict::Hidden),
            ("P", Who::ProjectKey, Foreign, Verdict::Allowed),
            ("SYSTEM", Who::Superadmin, Own, Verdict::Hidden),
        ] {
            assert_eq!(
                promise(class, who, place),
                verdict,
                "{class} {who:?} {place:?}"
            );
        }
    }

    #[test]
    fn a_scope_that_project_keys_lack_is_told_after_the_role() {
        let read = Recipe::of("get_thing", "U", "config:read", Kind::Project);
        assert_eq!(
            read.promise(Who::ProjectKey, Place::Own),
            Verdict::ScopeMissing
        );
        assert_eq!(
            read.promise(Who::ProjectKey, Place::Beside),
            Verdict::Refused
        );
        assert_eq!(read.promise(Who::User, Place::Own), Verdict::Allowed);
        assert_eq!(
            recipe().promise(Who::ProjectKey, Place::Own),
            Verdict::Refused
        );
        assert_eq!(recipe().least(), Some((Who::Admin, Place::Own)));
        assert_eq!(read.least(), Some((Who::User, Place::Own)));
    }

    #[test]
    fn placeholders_are_filled_everywhere_or_the_recipe_is_wrong() {
        let listed = operations(DOCUMENT).unwrap().remove(0);
        let values = BTreeMap::from([("thing_id", "t1".to_owned()), ("org_id", "o1".to_owned())]);
        let recipe = recipe()
            .body(json!({"org_id": "{org_id}", "list": ["{who}"], "n": 1, "text": "'{}' {"}))
            .query("org_id={org_id}")
            .if_first_version()
            .fix("who", "me");
        let filled = recipe.request(&listed, &values).unwrap();
        assert_eq!(filled.path, "/thing/t1?org_id=o1");
        assert_eq!(
            filled.body.unwrap(),
            json!({"org_id": "o1", "list": ["me"], "n": 1, "text": "'{}' {"})
        );
        assert_eq!(filled.headers, [("if-match", "\"1\"".to_owned())]);
        let none = BTreeMap::new();
        assert!(
            recipe
                .request(&listed, &none)
                .unwrap_err()
                .contains("thing_id")
        );
    }

    #[test]
    fn the_check_goes_both_ways() {
        let listed = operations(DOCUMENT).unwrap();
        assert_eq!(differences(&listed, &[recipe()], &[]), Vec::<String>::new());
        let future = Recipe::of("later", "A", "-", Kind::Nothing);
        assert!(differences(&listed, &[recipe(), future.clone()], &["later"]).is_empty());
        for (recipes, awaited, said) in [
            (vec![], vec![], "no recipe"),
            (vec![recipe(), future], vec![], "no document"),
            (vec![recipe()], vec!["update_thing"], "has arrived"),
            (vec![recipe()], vec!["later"], "awaited, but"),
            (
                vec![Recipe::of(
                    "update_thing",
                    "U",
                    "config:write",
                    Kind::Nothing,
                )],
                vec![],
                "x-class",
            ),
            (
                vec![Recipe::of("update_thing", "A", "-", Kind::Nothing)],
                vec![],
                "x-scope",
            ),
            (vec![recipe().success(204)], vec![], "204"),
        ] {
            let found = differences(&listed, &recipes, &awaited);
            assert!(found.len() == 1 && found[0].contains(said), "{found:?}");
        }
        assert!(operations(&DOCUMENT.replace("x-class", "y")).is_err());
    }
}
