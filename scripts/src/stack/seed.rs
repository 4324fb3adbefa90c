//! Fills a fresh system over its own HTTP interface, with the names that the documentation uses.
//!
//! Every id is kept in the session's secrets as soon as it is known, and every POST carries a fixed
//! `Idempotency-Key`: killed anywhere, the next start goes on, and a second one adds nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bootstrap::SUPERADMIN;
use crate::failure::{Context, Failure, Result};
use crate::http::{Answer, Client};
use crate::secrets::Secrets;
use crate::session::SimPorts;

use super::registry;

/// What to create.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Without projects.
    pub empty: bool,
    /// With the foreign organization and a key for every holder.
    pub for_tests: bool,
    /// Where the providers' simulator answers.
    pub sim: SimPorts,
    /// Workers to be registered.
    pub workers: Vec<String>,
}

struct InstanceSeed {
    id: &'static str,
    name: &'static str,
    org: &'static str,
    bucket: &'static str,
    rpm: u32,
    max_inflight_images: u32,
    environment: &'static str,
    protected: bool,
}

const PRODUCTION: InstanceSeed = InstanceSeed {
    id: "production",
    name: "Production",
    org: "org_id",
    bucket: "prod-images",
    rpm: 500,
    max_inflight_images: 10,
    environment: "production",
    protected: true,
};

const DEVELOPMENT: InstanceSeed = InstanceSeed {
    id: "development",
    name: "Development",
    org: "org_id",
    bucket: "dev-images",
    rpm: 60,
    max_inflight_images: 4,
    environment: "development",
    protected: false,
};

const FOREIGN: InstanceSeed = InstanceSeed {
    id: "foreign",
    name: "Foreign",
    org: "foreign_org_id",
    bucket: "dev-images",
    rpm: 60,
    max_inflight_images: 4,
    environment: "development",
    protected: false,
};

/// Creates what is missing and tells the instances where the simulator is.
pub fn run(base_url: &str, plan: &Plan, secrets: &mut Secrets) -> Result<()> {
    let mut seeder = Seeder {
        client: Client::new(Duration::from_secs(30)),
        base: format!("{base_url}/api/config-service"),
        bearer: format!("Bearer {}", secrets.key(SUPERADMIN)?),
        secrets,
    };
    let mut instances = vec![&PRODUCTION, &DEVELOPMENT];
    seeder.create(
        "org_id",
        "/organization",
        &json!({"name": "Acme Corp.", "billing_email": "billing@acme.example"}),
    )?;
    for instance in &instances {
        seeder.instance(instance, plan.sim)?;
    }
    seeder.user(
        "admin_user_id",
        "admin@acme.example",
        "admin",
        "org_id",
        &[],
    )?;
    seeder.user(
        "user_user_id",
        "user@acme.example",
        "user",
        "org_id",
        &["development"],
    )?;
    if !plan.empty {
        seeder.project("content_forge_project_id", "production", "Content Forge")?;
        seeder.project("website_chat_project_id", "development", "Website Chat")?;
    }
    seeder.key("admin", "admin_user_id")?;
    if plan.for_tests {
        instances.push(&FOREIGN);
        seeder.create(
            "foreign_org_id",
            "/organization",
            &json!({"name": "Foreign Ltd.", "billing_email": "billing@foreign.example"}),
        )?;
        seeder.instance(&FOREIGN, plan.sim)?;
        seeder.user(
            "foreign_user_id",
            "admin@foreign.example",
            "admin",
            "foreign_org_id",
            &[],
        )?;
        seeder.project("foreign_project_id", "foreign", "Foreign Project")?;
        seeder.key("user", "user_user_id")?;
        seeder.key("foreign", "foreign_user_id")?;
    }
    seeder.follow_simulator(&instances, plan.sim)?;
    registry::run(base_url, &seeder.bearer, &plan.workers)
}

struct Seeder<'a> {
    client: Client,
    base: String,
    bearer: String,
    secrets: &'a mut Secrets,
}

impl Seeder<'_> {
    fn call(
        &self,
        method: &str,
        path: &str,
        extra: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut headers = vec![("authorization", self.bearer.as_str())];
        headers.extend_from_slice(extra);
        let url = format!("{}{path}", self.base);
        self.client.send(method, &url, &headers, body)
    }

    /// POSTs once per state; the answer's `id_member` is kept under `name`.
    fn post(
        &mut self,
        name: &str,
        path: &str,
        id_member: &str,
        body: &Value,
    ) -> Result<Option<Value>> {
        if self.secrets.ids.contains_key(name) {
            return Ok(None);
        }
        let key = format!("seed-{name}-v1");
        let answer = self.call("POST", path, &[("idempotency-key", &key)], Some(body))?;
        if answer.status != 201 && answer.status != 200 {
            return Err(unexpected("POST", path, &answer));
        }
        let value = answer.json();
        let id = value
            .get(id_member)
            .and_then(Value::as_str)
            .context(format!("POST {path}: the answer has no {id_member}"))?;
        self.secrets.ids.insert(name.to_owned(), id.to_owned());
        self.secrets.save()?;
        Ok(Some(value))
    }

    fn create(&mut self, name: &str, path: &str, body: &Value) -> Result<()> {
        let member = match path {
            "/organization" => "org_id",
            "/user" => "user_id",
            "/project" => "project_id",
            _ => "instance_id",
        };
        self.post(name, path, member, body).map(|_| ())
    }

    fn id(&self, name: &str) -> Result<String> {
        self.secrets
            .ids
            .get(name)
            .cloned()
            .context(format!("{name} was not seeded"))
    }

    fn instance(&mut self, seed: &InstanceSeed, sim: SimPorts) -> Result<()> {
        let name = format!("{}_instance_id", seed.id);
        if self.secrets.ids.contains_key(&name) {
            return Ok(());
        }
        // The body depends on the simulator's ports, so a repeated POST after a crash may differ
        // from the first: what is there is taken as it is, and told the ports afterwards.
        let known = self.call("GET", &format!("/instance/{}", seed.id), &[], None)?;
        if known.status == 200 {
            self.secrets.ids.insert(name, seed.id.to_owned());
            return self.secrets.save();
        }
        let body = json!({
            "org_id": self.id(seed.org)?,
            "instance_id": seed.id,
            "name": seed.name,
            "status": "active",
            "config": config(seed, sim),
        });
        self.create(&name, "/instance", &body)
    }

    fn user(
        &mut self,
        name: &str,
        email: &str,
        role: &str,
        org: &str,
        instances: &[&str],
    ) -> Result<()> {
        let org_id = self.id(org)?;
        let display = email.split('@').next().unwrap_or(email);
        self.create(
            name,
            "/user",
            &json!({"email": email, "name": display, "role": role, "org_id": org_id}),
        )?;
        let user_id = self.id(name)?;
        for instance in instances {
            let grant = format!("{name} may use {instance}");
            if self.secrets.done.contains(&grant) {
                continue;
            }
            let path = format!("/user/{user_id}/instance/{instance}");
            let answer = self.call("PUT", &path, &[], Some(&json!({})))?;
            if answer.status >= 300 {
                return Err(unexpected("PUT", &path, &answer));
            }
            self.secrets.done.insert(grant);
            self.secrets.save()?;
        }
        Ok(())
    }

    fn project(&mut self, name: &str, instance: &str, title: &str) -> Result<()> {
        self.create(
            name,
            "/project",
            &json!({"instance_id": instance, "name": title, "settings": {}}),
        )
    }

    fn key(&mut self, holder: &str, user: &str) -> Result<()> {
        if self.secrets.keys.contains_key(holder) {
            return Ok(());
        }
        let body = json!({"user_id": self.id(user)?, "name": "dev", "scopes": ["*"]});
        let name = format!("{holder}_key_id");
        // Killed between the answer and our file: the key is known, its secret is not.
        self.secrets.ids.remove(&name);
        let idempotency = format!("seed-{name}-v1");
        let mut answer = self.call(
            "POST",
            "/api-key",
            &[("idempotency-key", &idempotency)],
            Some(&body),
        )?;
        if answer.status == 409 {
            answer = self.call("POST", "/api-key", &[], Some(&body))?;
        }
        if answer.status != 201 && answer.status != 200 {
            return Err(unexpected("POST", "/api-key", &answer));
        }
        let value = answer.json();
        let text = |member: &str| {
            value
                .get(member)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .context(format!("POST /api-key: the answer has no {member}"))
        };
        self.secrets
            .keys
            .insert(holder.to_owned(), text("api_key")?);
        self.secrets.ids.insert(name, text("key_id")?);
        self.secrets.save()
    }

    /// The simulator's ports may have been taken between two starts.
    fn follow_simulator(&mut self, instances: &[&InstanceSeed], sim: SimPorts) -> Result<()> {
        let wanted = providers(sim);
        let mark = format!("{wanted} {}", instances.len());
        if self.secrets.seeded_for == mark {
            return Ok(());
        }
        for instance in instances {
            let path = format!("/instance/{}", instance.id);
            let now = self.call("GET", &path, &[], None)?;
            if now.status != 200 {
                return Err(unexpected("GET", &path, &now));
            }
            if speaks_of(&now.json(), &wanted) {
                continue;
            }
            let body = json!({"config": {"providers": wanted}});
            let any = [("if-match", "*")];
            let answer = self.call("PATCH", &path, &any, Some(&body))?;
            if answer.status != 200 {
                return Err(unexpected("PATCH", &path, &answer));
            }
            // A key is bound to the host it was entered for, and a port may belong to the host.
            for provider in PROVIDERS {
                let path = format!("{path}/provider-key/{provider}");
                let answer = self.call("PUT", &path, &any, Some(&json!({"api_key": SIM_KEY})))?;
                if answer.status >= 300 {
                    return Err(unexpected("PUT", &path, &answer));
                }
            }
        }
        self.secrets.seeded_for = mark;
        self.secrets.save()
    }
}

const PROVIDERS: [&str; 2] = ["ideogram", "openai"];
/// The account that seeded instances have at the simulator.
pub const SIM_KEY: &str = "sim-ok-dev";

/// Provider entries that speak to the simulator.
pub fn providers(sim: SimPorts) -> Value {
    let entry = |adapter: &str, prefix: &str| {
        json!({
            "adapter": adapter,
            "base_url": format!("http://127.0.0.1:{}{prefix}", sim.port),
            "allow_private_host": true,
            "extra_result_hosts": [format!("127.0.0.1:{}", sim.image_port)],
            "extra_api_hosts": [format!("127.0.0.1:{}", sim.alt_port)],
        })
    };
    json!({
        "ideogram": entry("ideogram", "/ideogram"),
        "openai": entry("openai", "/openai/v1"),
    })
}

fn config(seed: &InstanceSeed, sim: SimPorts) -> Value {
    let mut config = json!({
        "api_keys": {},
        "environment": seed.environment,
        "providers": providers(sim),
        "rate_limits": {"ideogram": {
            "rpm": seed.rpm, "max_inflight_images": seed.max_inflight_images,
        }},
        "r2_bucket": seed.bucket,
        // A request that names nothing goes to Ideogram; the other provider is its fallback.
        "routing": {"default_provider": "ideogram", "default_model": "ideogram-3"},
    });
    for provider in PROVIDERS {
        if let Some(keys) = config.get_mut("api_keys").and_then(Value::as_object_mut) {
            keys.insert(provider.to_owned(), json!(SIM_KEY));
        }
    }
    if seed.protected
        && let Some(members) = config.as_object_mut()
    {
        members.insert("protected".to_owned(), json!(true));
    }
    config
}

/// Whether every provider of the instance already has its base URL at the wanted place.
fn speaks_of(instance: &Value, wanted: &Value) -> bool {
    // Flat in the answer, or below `config`.
    let known = instance
        .get("providers")
        .or_else(|| instance.pointer("/config/providers"));
    wanted.as_object().is_some_and(|wanted| {
        wanted.iter().all(|(name, entry)| {
            let known = known.and_then(|known| known.get(name));
            ["base_url", "extra_result_hosts", "extra_api_hosts"]
                .iter()
                .all(|key| known.and_then(|known| known.get(key)) == entry.get(key))
        })
    })
}

fn unexpected(method: &str, path: &str, answer: &Answer) -> Failure {
    Failure::failed(format!(
        "seed: {method} {path} answered {}: {}",
        answer.status,
        answer.text().chars().take(2000).collect::<String>()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIM: SimPorts = SimPorts {
        port: 1,
        image_port: 2,
        alt_port: 3,
    };

    #[test]
    fn seeded_instances_speak_to_the_simulator_with_its_own_key() {
        let config = config(&PRODUCTION, SIM);
        assert_eq!(config["protected"], true);
        assert_eq!(config["api_keys"]["openai"], "sim-ok-dev");
        assert_eq!(
            config["providers"]["ideogram"],
            json!({
                "adapter": "ideogram", "base_url": "http://127.0.0.1:1/ideogram",
                "allow_private_host": true, "extra_result_hosts": ["127.0.0.1:2"],
                "extra_api_hosts": ["127.0.0.1:3"],
            })
        );
        assert!(super::config(&DEVELOPMENT, SIM).get("protected").is_none());
    }

    #[test]
    fn what_is_seeded_is_a_valid_configuration() {
        for seed in [&PRODUCTION, &DEVELOPMENT, &FOREIGN] {
            let mut config = config(seed, SIM);
            config.as_object_mut().unwrap().remove("api_keys");
            let parsed: api_types::EditableConfig = serde_json::from_value(config.clone()).unwrap();
            let whole = serde_json::to_value(&parsed).unwrap();
            assert_eq!(
                api_types::unknown_members(&config, &whole),
                Vec::<String>::new()
            );
            let local = api_types::ValidateContext {
                local: true,
                self_hosted: false,
                now: api_types::Timestamp(0),
            };
            let problems = api_types::validate_config(&parsed, local);
            assert!(problems.is_empty(), "{}: {problems:?}", seed.id);
        }
    }

    #[test]
    fn a_moved_simulator_is_noticed_on_each_of_its_ports() {
        let instance = json!({"providers": providers(SIM)});
        assert!(speaks_of(&instance, &providers(SIM)));
        for moved in [
            SimPorts { port: 9, ..SIM },
            SimPorts {
                image_port: 9,
                ..SIM
            },
            SimPorts { alt_port: 9, ..SIM },
        ] {
            assert!(!speaks_of(&instance, &providers(moved)));
        }
        assert!(!speaks_of(&json!({}), &providers(SIM)));
    }
}
