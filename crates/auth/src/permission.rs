//! Which principal may do what: one row per operation, one function that decides.
//!
//! In scope: classes, operations of the workers that exist, the decision. Out of scope: finding the target.
//! Effective permission = class of the operation, and scope of the key, and role. Order of the answers: 404 (foreign),
//! 403 role, 403 scope.

use api_types::{
    AuthContext, InstanceId, KeyId, Need, OrgId, PrincipalKind, ProjectId, Role, Scope, UserId,
};
use errors::{Code, Error, Result};

/// Who may run an operation at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Anybody, also without a key.
    Public,
    /// Any principal, for its own data.
    Any,
    /// Members of the organization.
    Member,
    /// Users of an instance or project.
    Use,
    /// The user or key itself, or an administrator over it.
    SelfOrAdmin,
    /// Administrators of the organization.
    Admin,
    /// Superadmins.
    Platform,
    /// Workers of the house that are named here, by the props of their binding.
    System(&'static [&'static str]),
}

/// Which scope the key needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeRule {
    /// None.
    None,
    /// That one.
    One(Scope),
    /// Any scope that ends in `:write`.
    AnyWrite,
}

/// One operation of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name, which is also `operationId` in the OpenAPI document.
    pub name: &'static str,
    /// Who.
    pub class: Class,
    /// With which scope.
    pub scope: ScopeRule,
    /// What the middleware resolves before the handler runs; `None` where nothing or where the handler does it.
    pub need: Option<Need>,
    /// It starts new work, so the instance must be active.
    pub work: bool,
    /// A project key may run it on itself without the scope, which it cannot have.
    pub by_key_itself: bool,
    /// The key may come as member `api_key` of the JSON body.
    pub body_key: bool,
    /// Workers of the house that may run it as well, without a key: by the props of their binding.
    pub also: &'static [&'static str],
}

impl Operation {
    const fn new(name: &'static str, class: Class, scope: ScopeRule, need: Option<Need>) -> Self {
        Self {
            name,
            class,
            scope,
            need,
            work: false,
            by_key_itself: false,
            body_key: false,
            also: &[],
        }
    }

    const fn work(mut self) -> Self {
        self.work = true;
        self
    }

    const fn by_key_itself(mut self) -> Self {
        self.by_key_itself = true;
        self
    }

    const fn body_key(mut self) -> Self {
        self.body_key = true;
        self
    }

    const fn also(mut self, workers: &'static [&'static str]) -> Self {
        self.also = workers;
        self
    }

    /// Whether it may be called without any identity.
    pub const fn is_public(&self) -> bool {
        matches!(self.class, Class::Public)
    }

    /// The word of its class in documents: `P`, `ANY`, `O`, `U`, `SELF`, `A`, `S`, `SYSTEM`.
    pub const fn class_word(&self) -> &'static str {
        match self.class {
            Class::Public => "P",
            Class::Any => "ANY",
            Class::Member => "O",
            Class::Use => "U",
            Class::SelfOrAdmin => "SELF",
            Class::Admin => "A",
            Class::Platform => "S",
            Class::System(_) => "SYSTEM",
        }
    }
}

macro_rules! operations {
    ($(#[$doc:meta])* $module:ident uses ($($import:path),*) { $($name:ident $value:expr;)+ }) => {
        $(#[$doc])*
        pub mod $module {
            use super::{Class, Operation, ScopeRule};
            $(use $import;)*
            $(
                #[doc = concat!("Operation `", stringify!($name), "`.")]
                pub const $name: Operation = $value;
            )+
            /// All operations of this worker.
            pub const ALL: &[&Operation] = &[$(&$name,)+];
        }
    };
}

operations! {
    /// Operations of config-service. Its handlers resolve the caller in their own read batch, so `need` is `None`.
    config_service uses (api_types::Scope) {
        CREATE_ORGANIZATION Operation::new("create_organization", Class::Platform, ScopeRule::One(Scope::PlatformWrite), None);
        LIST_ORGANIZATIONS Operation::new("list_organizations", Class::Member, ScopeRule::One(Scope::ConfigRead), None);
        GET_ORGANIZATION Operation::new("get_organization", Class::Member, ScopeRule::One(Scope::ConfigRead), None);
        UPDATE_ORGANIZATION Operation::new("update_organization", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        DELETE_ORGANIZATION Operation::new("delete_organization", Class::Platform, ScopeRule::One(Scope::PlatformWrite), None);
        CREATE_INSTANCE Operation::new("create_instance", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        LIST_INSTANCES Operation::new("list_instances", Class::Use, ScopeRule::One(Scope::ConfigRead), None);
        GET_INSTANCE Operation::new("get_instance", Class::Use, ScopeRule::One(Scope::ConfigRead), None);
        UPDATE_INSTANCE Operation::new("update_instance", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        DELETE_INSTANCE Operation::new("delete_instance", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        SET_INSTANCE_STATUS Operation::new("set_instance_status", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        SET_WORKER_URLS Operation::new("set_worker_urls", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        PAUSE_INSTANCE Operation::new("pause_instance", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None).also(&["telemetry"]);
        RESUME_INSTANCE Operation::new("resume_instance", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        GET_LIMITS Operation::new("get_limits", Class::Use, ScopeRule::One(Scope::ConfigRead), None);
        LIST_DEPLOYMENTS Operation::new("list_deployments", Class::Use, ScopeRule::One(Scope::ConfigRead), None);
        SET_RATE_LIMIT Operation::new("set_rate_limit", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        DELETE_RATE_LIMIT Operation::new("delete_rate_limit", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        SET_BUDGETS Operation::new("set_budgets", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        LIST_PRICES Operation::new("list_prices", Class::Use, ScopeRule::One(Scope::ConfigRead), None);
        PUT_PRICE Operation::new("put_price", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        END_PRICE Operation::new("end_price", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        CREATE_USER Operation::new("create_user", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        UPDATE_USER Operation::new("update_user", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        DELETE_USER Operation::new("delete_user", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        LIST_USERS Operation::new("list_users", Class::Admin, ScopeRule::One(Scope::ConfigRead), None);
        GET_USER Operation::new("get_user", Class::SelfOrAdmin, ScopeRule::None, None);
        GRANT_ACCESS Operation::new("grant_access", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        REVOKE_ACCESS Operation::new("revoke_access", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        REPLACE_ACCESS Operation::new("replace_access", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        LIST_ACCESS Operation::new("list_access", Class::Admin, ScopeRule::One(Scope::ConfigRead), None);
        CREATE_PROJECT Operation::new("create_project", Class::Use, ScopeRule::AnyWrite, None);
        LIST_PROJECTS Operation::new("list_projects", Class::Use, ScopeRule::One(Scope::ConfigRead), None);
        GET_PROJECT Operation::new("get_project", Class::Use, ScopeRule::One(Scope::ConfigRead), None);
        UPDATE_PROJECT Operation::new("update_project", Class::Use, ScopeRule::AnyWrite, None);
        DELETE_PROJECT Operation::new("delete_project", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        CREATE_API_KEY Operation::new("create_api_key", Class::SelfOrAdmin, ScopeRule::One(Scope::KeysWrite), None);
        LIST_API_KEYS Operation::new("list_api_keys", Class::SelfOrAdmin, ScopeRule::None, None);
        GET_API_KEY Operation::new("get_api_key", Class::SelfOrAdmin, ScopeRule::None, None);
        UPDATE_API_KEY Operation::new("update_api_key", Class::SelfOrAdmin, ScopeRule::One(Scope::KeysWrite), None);
        ROTATE_API_KEY Operation::new("rotate_api_key", Class::SelfOrAdmin, ScopeRule::One(Scope::KeysWrite), None).by_key_itself();
        REVOKE_API_KEY Operation::new("revoke_api_key", Class::SelfOrAdmin, ScopeRule::One(Scope::KeysWrite), None);
        LIST_PROVIDER_KEYS Operation::new("list_provider_keys", Class::Admin, ScopeRule::One(Scope::ConfigRead), None);
        SET_PROVIDER_KEY Operation::new("set_provider_key", Class::Admin, ScopeRule::One(Scope::SecretsWrite), None);
        ROTATE_PROVIDER_KEY Operation::new("rotate_provider_key", Class::Admin, ScopeRule::One(Scope::SecretsWrite), None);
        DELETE_PROVIDER_KEY Operation::new("delete_provider_key", Class::Admin, ScopeRule::One(Scope::SecretsWrite), None);
        START_KEK_ROTATION Operation::new("start_kek_rotation", Class::Platform, ScopeRule::One(Scope::PlatformWrite), None);
        LIST_KEK_ROTATION Operation::new("list_kek_rotation", Class::Platform, ScopeRule::One(Scope::PlatformWrite), None);
        RUN_KEK_ROTATION Operation::new("run_kek_rotation", Class::Platform, ScopeRule::One(Scope::PlatformWrite), None);
        CANCEL_KEK_ROTATION Operation::new("cancel_kek_rotation", Class::Platform, ScopeRule::One(Scope::PlatformWrite), None);
        LIST_WORKERS Operation::new("list_workers", Class::Any, ScopeRule::None, None);
        GET_WORKER Operation::new("get_worker", Class::Any, ScopeRule::None, None);
        // Of an instance's workers; the handlers demand a superadmin for those of the platform.
        REGISTER_WORKER Operation::new("register_worker", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        CHECK_WORKER Operation::new("check_worker", Class::Admin, ScopeRule::One(Scope::ConfigWrite), None);
        // Of an organization's chain; the handlers demand a superadmin for that of the platform.
        LIST_AUDIT Operation::new("list_audit", Class::Admin, ScopeRule::One(Scope::AuditRead), None);
        VERIFY_AUDIT Operation::new("verify_audit", Class::Admin, ScopeRule::One(Scope::AuditRead), None);
        WHO_AM_I Operation::new("who_am_i", Class::Any, ScopeRule::None, None);
        CREATE_SESSION Operation::new("create_session", Class::SelfOrAdmin, ScopeRule::None, None);
        LIST_SESSIONS Operation::new("list_sessions", Class::SelfOrAdmin, ScopeRule::None, None);
        END_SESSION Operation::new("end_session", Class::SelfOrAdmin, ScopeRule::None, None);
        HEALTH Operation::new("health", Class::Public, ScopeRule::None, None);
        OPENAPI Operation::new("openapi", Class::Public, ScopeRule::None, None);
        RESOLVE Operation::new("resolve", Class::System(&["image-gen", "task-master", "repo-agent", "telemetry", "console"]), ScopeRule::None, None);
        INTERNAL_CONFIG Operation::new("internal_config", Class::System(&["image-gen", "task-master", "repo-agent", "telemetry", "console"]), ScopeRule::None, None);
        INTERNAL_CREDENTIAL Operation::new("internal_credential", Class::System(&["image-gen", "task-master", "repo-agent"]), ScopeRule::None, None);
        INTERNAL_CREDENTIAL_REPORT Operation::new("internal_credential_report", Class::System(&["image-gen", "task-master", "repo-agent"]), ScopeRule::None, None);
    }
}

operations! {
    /// Operations of image-gen.
    image_gen uses (api_types::Need, api_types::Scope) {
        GENERATE Operation::new("generate", Class::Use, ScopeRule::One(Scope::ImagesWrite), Some(Need::Instance)).work().body_key();
        GET_JOB Operation::new("get_job", Class::Use, ScopeRule::One(Scope::ImagesRead), Some(Need::Instance));
        // Public images and signed URLs need no key, so the handler asks for the caller only when there is no signature.
        GET_IMAGE_FILE Operation::new("get_image_file", Class::Public, ScopeRule::None, None);
        OPENAI_GENERATE Operation::new("openai_generate", Class::Use, ScopeRule::One(Scope::ImagesWrite), Some(Need::Instance)).work();
        LIST_MODELS Operation::new("list_models", Class::Use, ScopeRule::One(Scope::ImagesRead), Some(Need::Instance));
        GET_MODEL Operation::new("get_model", Class::Use, ScopeRule::One(Scope::ImagesRead), Some(Need::Instance));
        HEALTH Operation::new("health", Class::Public, ScopeRule::None, None);
        OPENAPI Operation::new("openapi", Class::Public, ScopeRule::None, None);
        INTERNAL_RUNNING Operation::new("internal_running", Class::System(&["config-service"]), ScopeRule::None, None);
    }
}

operations! {
    /// Operations of admission: nothing but its own description; its objects are reached by bindings only.
    admission uses () {
        HEALTH Operation::new("health", Class::Public, ScopeRule::None, None);
        OPENAPI Operation::new("openapi", Class::Public, ScopeRule::None, None);
    }
}

operations! {
    /// Operations of the console itself; forwarded requests are decided by the worker that serves them.
    console uses () {
        PAGE Operation::new("page", Class::Public, ScopeRule::None, None);
        MOVED Operation::new("moved", Class::Public, ScopeRule::None, None);
        // The key is in the body, the session in the cookie; config-service decides on both.
        SIGN_IN Operation::new("sign_in", Class::Public, ScopeRule::None, None);
        SIGNED_IN Operation::new("signed_in", Class::Public, ScopeRule::None, None);
        SIGN_OUT Operation::new("sign_out", Class::Public, ScopeRule::None, None);
        HEALTH Operation::new("health", Class::Public, ScopeRule::None, None);
        OPENAPI Operation::new("openapi", Class::Public, ScopeRule::None, None);
    }
}

/// What an operation is about; members that do not apply are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Organization that owns it.
    pub org_id: Option<OrgId>,
    /// Instance.
    pub instance_id: Option<InstanceId>,
    /// Project.
    pub project_id: Option<ProjectId>,
    /// User.
    pub user_id: Option<UserId>,
    /// Key.
    pub key_id: Option<KeyId>,
}

fn forbidden(why: &str) -> Error {
    Error::new(Code::Forbidden, why.to_owned())
}

fn role_required(role: &str) -> Error {
    Error::new(Code::RoleRequired, format!("This needs the role {role}.")).with_detail("role", role)
}

/// Whether the principal may run the operation on the target.
///
/// # Errors
/// 404 `not_found` for another organization's things, 403 `forbidden` or `role_required`, 403 `scope_missing`.
pub fn permit(operation: &Operation, auth: &AuthContext, target: &Target) -> Result<()> {
    if auth.kind == PrincipalKind::System && named(operation.also, auth) {
        return Ok(());
    }
    permit_class(operation.class, auth, target)?;
    // Of the keys of projects the class let through only the one that is the target.
    if operation.by_key_itself && auth.kind == PrincipalKind::ProjectKey {
        return Ok(());
    }
    permit_scope(operation.scope, auth)
}

/// Whether the principal is one of those workers.
fn named(workers: &[&str], auth: &AuthContext) -> bool {
    workers
        .iter()
        .any(|worker| auth.principal == format!("system:{worker}"))
}

fn permit_class(class: Class, auth: &AuthContext, target: &Target) -> Result<()> {
    if let Class::System(callers) = class {
        return if auth.kind == PrincipalKind::System && named(callers, auth) {
            Ok(())
        } else {
            Err(Error::not_found("route"))
        };
    }
    if matches!(class, Class::Public | Class::Any) || auth.role == Role::Superadmin {
        return Ok(());
    }
    if target.org_id.is_some() && target.org_id != auth.org_id {
        return Err(Error::not_found("thing with this id"));
    }
    if auth.kind == PrincipalKind::ProjectKey {
        return permit_project_key(class, auth, target);
    }
    match (class, auth.role) {
        (Class::Platform, _) => Err(role_required("superadmin")),
        (_, Role::Admin) | (Class::Member, _) => Ok(()),
        (Class::Admin, _) => Err(role_required("admin")),
        (Class::SelfOrAdmin, _) => {
            let own_user = auth.user.as_ref().map(|user| &user.user_id);
            if target.user_id.is_none() || target.user_id.as_ref() == own_user {
                Ok(())
            } else {
                Err(role_required("admin"))
            }
        }
        _ => match &target.instance_id {
            Some(instance) if !auth.instances_more && !auth.instances.contains(instance) => {
                Err(forbidden("This key has no access to this instance."))
            }
            _ => Ok(()),
        },
    }
}

fn permit_project_key(class: Class, auth: &AuthContext, target: &Target) -> Result<()> {
    let own_instance = target
        .instance_id
        .as_ref()
        .is_none_or(|instance| auth.instances.contains(instance));
    let own_project = target.project_id.is_none() || target.project_id == auth.project_id;
    let own_key = target.key_id.is_some()
        && target.key_id.as_ref() == auth.key.as_ref().map(|key| &key.key_id);
    let allowed = match class {
        Class::Use => own_instance && own_project,
        Class::SelfOrAdmin => own_key,
        _ => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(forbidden("A project key sees its own project only."))
    }
}

fn permit_scope(rule: ScopeRule, auth: &AuthContext) -> Result<()> {
    let missing = |scope: &str| {
        Err(Error::new(
            Code::ScopeMissing,
            format!("The key lacks the scope {scope}."),
        )
        .with_detail("scope", scope))
    };
    match rule {
        ScopeRule::None => Ok(()),
        ScopeRule::One(scope) if auth.has_scope(scope) => Ok(()),
        ScopeRule::One(scope) => missing(scope.as_str()),
        ScopeRule::AnyWrite => {
            let writes = |scope: &Scope| *scope == Scope::All || scope.as_str().ends_with(":write");
            if auth.permissions.iter().any(writes) {
                Ok(())
            } else {
                missing("*:write")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::{KeyRef, SecretVersion, UserRef};

    const OWN: &str = "0198f0a0-0000-7000-8000-000000000001";
    const FOREIGN: &str = "0198f0a0-0000-7000-8000-000000000002";
    const ME: &str = "0198f0a1-0000-7000-8000-000000000001";
    const OTHER: &str = "0198f0a1-0000-7000-8000-000000000002";
    const PROJECT: &str = "0198f0a2-0000-7000-8000-000000000001";

    fn caller(role: Role, kind: PrincipalKind) -> AuthContext {
        let org = (role != Role::Superadmin).then(|| OrgId::parse(OWN).unwrap());
        let project_key = kind == PrincipalKind::ProjectKey;
        AuthContext {
            principal: "key:4fGh7kQ2mZ0a".into(),
            kind,
            role,
            user: (!project_key).then(|| UserRef {
                user_id: UserId::parse(ME).unwrap(),
                email: "a@b".into(),
                org_id: org.clone(),
            }),
            org_id: org,
            key: Some(KeyRef {
                key_id: KeyId::parse("4fGh7kQ2mZ0a").unwrap(),
                secret: SecretVersion::Current,
                expires_at: None,
            }),
            project_id: project_key.then(|| ProjectId::parse(PROJECT).unwrap()),
            instances: vec![InstanceId::parse("development").unwrap()],
            instances_more: false,
            permissions: vec![Scope::All],
        }
    }

    fn target(org: &str, instance: &str, user: &str) -> Target {
        Target {
            org_id: Some(OrgId::parse(org).unwrap()),
            instance_id: Some(InstanceId::parse(instance).unwrap()),
            user_id: Some(UserId::parse(user).unwrap()),
            ..Target::default()
        }
    }

    fn status(class: Class, auth: &AuthContext, target: &Target) -> u16 {
        permit_class(class, auth, target).map_or_else(|error| error.code.status(), |()| 200)
    }

    /// The table of the permission classes: own assigned instance, sibling instance, foreign organization.
    #[test]
    fn the_class_table_holds() {
        let own = target(OWN, "development", OTHER);
        let sibling = target(OWN, "production", OTHER);
        let foreign = target(FOREIGN, "foreign", OTHER);
        let admin = caller(Role::Admin, PrincipalKind::UserKey);
        let user = caller(Role::User, PrincipalKind::UserKey);
        let project = caller(Role::User, PrincipalKind::ProjectKey);
        let root = caller(Role::Superadmin, PrincipalKind::UserKey);
        for (
            class,
            admin_own,
            admin_foreign,
            user_own,
            user_sibling,
            user_foreign,
            project_own,
            project_foreign,
        ) in [
            (Class::Public, 200, 200, 200, 200, 200, 200, 200),
            (Class::Any, 200, 200, 200, 200, 200, 200, 200),
            (Class::Member, 200, 404, 200, 200, 404, 403, 404),
            (Class::Use, 200, 404, 200, 403, 404, 200, 404),
            (Class::SelfOrAdmin, 200, 404, 403, 403, 404, 403, 404),
            (Class::Admin, 200, 404, 403, 403, 404, 403, 404),
            (Class::Platform, 403, 404, 403, 403, 404, 403, 404),
        ] {
            assert_eq!(
                status(class, &admin, &own),
                admin_own,
                "{class:?} admin own"
            );
            assert_eq!(
                status(class, &admin, &foreign),
                admin_foreign,
                "{class:?} admin foreign"
            );
            assert_eq!(status(class, &user, &own), user_own, "{class:?} user own");
            assert_eq!(
                status(class, &user, &sibling),
                user_sibling,
                "{class:?} user sibling"
            );
            assert_eq!(
                status(class, &user, &foreign),
                user_foreign,
                "{class:?} user foreign"
            );
            assert_eq!(
                status(class, &project, &own),
                project_own,
                "{class:?} project own"
            );
            assert_eq!(
                status(class, &project, &foreign),
                project_foreign,
                "{class:?} project foreign"
            );
            assert_eq!(status(class, &root, &foreign), 200, "{class:?} superadmin");
        }
        assert_eq!(
            status(Class::SelfOrAdmin, &user, &target(OWN, "development", ME)),
            200
        );
        let own_key = Target {
            key_id: Some(KeyId::parse("4fGh7kQ2mZ0a").unwrap()),
            ..Target::default()
        };
        assert_eq!(status(Class::SelfOrAdmin, &project, &own_key), 200);
    }

    #[test]
    fn internal_operations_are_not_found_for_everybody_else() {
        let class = config_service::RESOLVE.class;
        assert_eq!(
            status(
                class,
                &caller(Role::Superadmin, PrincipalKind::UserKey),
                &Target::default()
            ),
            404
        );
        let mut system = caller(Role::User, PrincipalKind::System);
        system.principal = "system:image-gen".into();
        assert_eq!(status(class, &system, &Target::default()), 200);
        system.principal = "system:stranger".into();
        assert_eq!(status(class, &system, &Target::default()), 404);
    }

    #[test]
    fn a_worker_that_is_named_besides_may_run_that_operation_only() {
        let mut system = caller(Role::User, PrincipalKind::System);
        system.permissions = Vec::new();
        let own = target(OWN, "development", ME);
        for (worker, operation, may) in [
            ("telemetry", &config_service::PAUSE_INSTANCE, true),
            ("telemetry", &config_service::RESUME_INSTANCE, false),
            ("image-gen", &config_service::PAUSE_INSTANCE, false),
        ] {
            system.principal = format!("system:{worker}");
            let permitted = permit(operation, &system, &own).is_ok();
            assert_eq!(permitted, may, "{worker} {}", operation.name);
        }
        // The name alone is nothing: a key's principal says `key:`.
        let mut user = caller(Role::User, PrincipalKind::UserKey);
        user.principal = "system:telemetry".into();
        assert!(permit(&config_service::PAUSE_INSTANCE, &user, &own).is_err());
    }

    #[test]
    fn a_missing_scope_is_named() {
        let mut user = caller(Role::User, PrincipalKind::UserKey);
        user.permissions = vec![Scope::ImagesRead];
        let error =
            permit(&image_gen::GENERATE, &user, &target(OWN, "development", ME)).unwrap_err();
        assert_eq!(error.code, Code::ScopeMissing);
        assert_eq!(error.details["scope"], "images:write");
        assert!(permit(&image_gen::GET_JOB, &user, &target(OWN, "development", ME)).is_ok());
        assert_eq!(
            permit(&config_service::CREATE_PROJECT, &user, &Target::default())
                .unwrap_err()
                .code,
            Code::ScopeMissing
        );
    }

    #[test]
    fn a_project_key_rotates_itself_without_a_scope_that_it_cannot_have() {
        let mut project = caller(Role::User, PrincipalKind::ProjectKey);
        project.permissions = vec![Scope::ImagesRead];
        let key = |id: &str| Target {
            key_id: Some(KeyId::parse(id).unwrap()),
            ..Target::default()
        };
        let code = |operation: &Operation, auth: &AuthContext, id: &str| {
            permit(operation, auth, &key(id)).map_err(|error| error.code)
        };
        let (own, other) = ("4fGh7kQ2mZ0a", "user00000001");
        assert_eq!(code(&config_service::ROTATE_API_KEY, &project, own), Ok(()));
        for (operation, id, refused) in [
            (config_service::ROTATE_API_KEY, other, Code::Forbidden),
            (config_service::UPDATE_API_KEY, own, Code::ScopeMissing),
            (config_service::REVOKE_API_KEY, own, Code::ScopeMissing),
        ] {
            assert_eq!(code(&operation, &project, id), Err(refused));
        }
        let mut user = caller(Role::User, PrincipalKind::UserKey);
        user.permissions = vec![Scope::ImagesRead];
        let refused = code(&config_service::ROTATE_API_KEY, &user, own);
        assert_eq!(refused, Err(Code::ScopeMissing));
    }

    #[test]
    fn names_are_unique_in_each_worker_and_only_listed_routes_are_public() {
        let mut public = Vec::new();
        for operations in [
            config_service::ALL,
            image_gen::ALL,
            admission::ALL,
            console::ALL,
        ] {
            let mut names: Vec<&str> = operations.iter().map(|operation| operation.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), operations.len());
            public.extend(
                operations
                    .iter()
                    .filter(|operation| operation.is_public())
                    .map(|operation| operation.name),
            );
        }
        public.sort_unstable();
        public.dedup();
        assert_eq!(
            public,
            [
                "get_image_file",
                "health",
                "moved",
                "openapi",
                "page",
                "sign_in",
                "sign_out",
                "signed_in",
            ]
        );
    }
}
