//! How provider keys are sealed: AES-256-GCM under a fresh data key, which is sealed under a key derived for the instance.
//!
//! In scope: seal, open, rewrap. Out of scope: where envelopes are stored.
//! Form: `v1.<kek_id>.<base64url nonce+data key+tag>.<base64url nonce+value+tag>`. The additional data binds an envelope to
//! its organization, instance, provider, row and host, all taken from columns and never from the envelope.

use api_types::{Ciphertext, CredentialId, InstanceId, OrgId, ProviderName, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use errors::{Code, Error};
use platform::Random;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use serde::Deserialize;
use zeroize::Zeroizing;

const VALUE_CONTEXT: &str = "switchyard/credential/v1";
const KEK_SALT: &[u8] = b"switchyard/kek/v1";

/// What the secret `KEK_<id>` of this worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KekScope {
    /// The master: keys of instances are derived from it.
    Master,
    /// The derived key of the one instance that this set is deployed for.
    Instance,
}

impl KekScope {
    /// Reads the variable `KEK_SCOPE`; a worker without it holds the master.
    ///
    /// # Errors
    /// Any other word than `platform` and `instance`: taking a derived key for the master would seal what nobody opens.
    pub fn from_var(value: Option<&str>) -> Result<Self, Error> {
        match value {
            None | Some("" | "platform") => Ok(Self::Master),
            Some("instance") => Ok(Self::Instance),
            Some(_) => Err(Error::internal("KEK_SCOPE must be platform or instance")),
        }
    }
}

/// What an envelope is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialContext {
    /// Owner.
    pub org_id: OrgId,
    /// Instance.
    pub instance_id: InstanceId,
    /// Provider.
    pub provider: ProviderName,
    /// Row.
    pub credential_id: CredentialId,
    /// Host (with port, if it is not the scheme's own) that the key may be sent to.
    pub host: String,
}

/// The plain form of a provider credential.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ProviderSecretPlain {
    /// The key.
    pub api_key: Secret,
    /// The account, where the vendor needs one.
    #[serde(default)]
    pub account: Option<String>,
    /// The secret of the vendor's webhooks.
    #[serde(default)]
    pub webhook_secret: Option<Secret>,
}

impl ProviderSecretPlain {
    /// A credential that is only a key.
    pub fn from_key(api_key: impl Into<String>) -> Self {
        Self {
            api_key: Secret::new(api_key),
            account: None,
            webhook_secret: None,
        }
    }

    /// The JSON text that is sealed; the one place where it is written.
    pub fn to_json(&self) -> String {
        let mut value = serde_json::json!({ "api_key": self.api_key.expose() });
        if let (Some(members), Some(account)) = (value.as_object_mut(), &self.account) {
            members.insert("account".to_owned(), account.clone().into());
        }
        if let (Some(members), Some(secret)) = (value.as_object_mut(), &self.webhook_secret) {
            members.insert("webhook_secret".to_owned(), secret.expose().into());
        }
        value.to_string()
    }

    /// Parses what `open` returned.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes)
            .map_err(|_| broken("the opened credential is not of its form"))
    }
}

/// The key-encryption keys that a worker knows.
#[derive(Clone)]
pub struct Keks {
    current: String,
    all: Vec<(String, [u8; 32])>,
    scope: KekScope,
}

impl std::fmt::Debug for Keks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keks({:?}, current {})", self.ids(), self.current)
    }
}

pub(crate) fn broken(why: &str) -> Error {
    Error::new(
        Code::DecryptionFailed,
        "A stored provider key cannot be opened.",
    )
    .with_internal(why)
}

/// Each part with a 2-byte big-endian length before it, so that no two lists of parts give the same bytes.
pub(crate) fn length_prefixed(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

struct Length32;
impl hkdf::KeyType for Length32 {
    fn len(&self) -> usize {
        32
    }
}

/// The key of one instance: HKDF-SHA256(master, salt `switchyard/kek/v1`, info = org and instance, length-prefixed).
pub fn derive_instance_kek(
    master: &[u8; 32],
    org_id: &OrgId,
    instance_id: &InstanceId,
) -> Result<[u8; 32], Error> {
    derive(master, &[org_id.as_str(), instance_id.as_str()])
}

pub(crate) fn derive(master: &[u8; 32], owner: &[&str]) -> Result<[u8; 32], Error> {
    let info = length_prefixed(owner);
    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, KEK_SALT)
        .extract(master)
        .expand(&[&info], Length32)
        .and_then(|okm| okm.fill(&mut key))
        .map_err(|_| Error::internal("HKDF failed"))?;
    Ok(key)
}

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, Error> {
    Ok(LessSafeKey::new(
        UnboundKey::new(&AES_256_GCM, key)
            .map_err(|_| Error::internal("AES-256-GCM refused a key"))?,
    ))
}

pub(crate) fn seal_part(
    random: &impl Random,
    key: &[u8; 32],
    aad: &[u8],
    plain: &[u8],
) -> Result<String, Error> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce);
    let mut sealed = plain.to_vec();
    aead(key)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut sealed,
        )
        .map_err(|_| Error::internal("sealing failed"))?;
    let mut bytes = nonce.to_vec();
    bytes.append(&mut sealed);
    Ok(B64.encode(bytes))
}

/// What was sealed; overwritten when it is dropped.
pub(crate) fn open_part(
    key: &[u8; 32],
    aad: &[u8],
    text: &str,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bytes = B64
        .decode(text)
        .map_err(|_| broken("an envelope part is not base64url"))?;
    let (nonce, sealed) = bytes
        .split_at_checked(NONCE_LEN)
        .ok_or_else(|| broken("an envelope part is too short"))?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| broken("bad nonce"))?;
    // It is opened where it lies, so there is no other copy to overwrite.
    let mut opened = Zeroizing::new(sealed.to_vec());
    let length = aead(key)?
        .open_in_place(nonce, Aad::from(aad), &mut opened)
        .map_err(|_| broken("the tag does not match: other key, other row or changed bytes"))?
        .len();
    opened.truncate(length);
    Ok(opened)
}

/// The key that an envelope names, for logs and lists; `?` when what stands there is no id.
pub fn named_kek(envelope: &Ciphertext) -> &str {
    let is_id = |id: &&str| {
        (1..=16).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    envelope.kek_id().filter(is_id).unwrap_or("?")
}

impl CredentialContext {
    /// What is said of an envelope that does not open: its row and its key, nothing of what is in it.
    fn unreadable(&self, envelope: &Ciphertext) -> Error {
        let kek_id = named_kek(envelope);
        broken(&format!(
            "credential_id={} kek_id={kek_id}",
            self.credential_id
        ))
    }

    fn aad(&self, part: &str) -> Vec<u8> {
        length_prefixed(&[
            VALUE_CONTEXT,
            self.org_id.as_str(),
            self.instance_id.as_str(),
            self.provider.as_str(),
            self.credential_id.as_str(),
            &self.host,
            part,
        ])
    }
}

impl Keks {
    /// Fails when the current one is not among them.
    pub fn new(
        current_id: &str,
        all: Vec<(String, [u8; 32])>,
        scope: KekScope,
    ) -> Result<Self, Error> {
        if all.iter().any(|(id, _)| id == current_id) {
            Ok(Self {
                current: current_id.to_owned(),
                all,
                scope,
            })
        } else {
            Err(Error::internal(format!("KEK_{current_id} is missing")))
        }
    }

    /// Ids of all of them.
    pub fn ids(&self) -> Vec<&str> {
        self.all.iter().map(|(id, _)| id.as_str()).collect()
    }

    /// The id that new envelopes are sealed under.
    pub fn current_id(&self) -> &str {
        &self.current
    }

    /// Whether there is one of that id.
    pub fn knows(&self, id: &str) -> bool {
        self.bytes(id).is_some()
    }

    /// The bytes of one of them, as they were given.
    pub(crate) fn bytes(&self, id: &str) -> Option<&[u8; 32]> {
        let found = self.all.iter().find(|(have, _)| have == id);
        found.map(|(_, key)| key)
    }

    fn kek(&self, id: &str, context: &CredentialContext) -> Result<Zeroizing<[u8; 32]>, Error> {
        let key = self
            .bytes(id)
            .ok_or_else(|| broken(&format!("KEK_{id} is not known")))?;
        match self.scope {
            KekScope::Master => {
                derive_instance_kek(key, &context.org_id, &context.instance_id).map(Zeroizing::new)
            }
            KekScope::Instance => Ok(Zeroizing::new(*key)),
        }
    }

    /// Seals a value under a fresh data key.
    pub fn seal(
        &self,
        random: &impl Random,
        context: &CredentialContext,
        plain: &[u8],
    ) -> Result<Ciphertext, Error> {
        let mut data_key = Zeroizing::new([0; 32]);
        random.fill(data_key.as_mut());
        let value = seal_part(random, &data_key, &context.aad("val"), plain)?;
        self.wrap(random, context, &self.current, data_key.as_ref(), &value)
    }

    fn wrap(
        &self,
        random: &impl Random,
        context: &CredentialContext,
        kek_id: &str,
        data_key: &[u8],
        value: &str,
    ) -> Result<Ciphertext, Error> {
        let kek = self.kek(kek_id, context)?;
        let wrapped = seal_part(
            random,
            &kek,
            &context.aad(&format!("dek{kek_id}")),
            data_key,
        )?;
        Ok(Ciphertext(format!("v1.{kek_id}.{wrapped}.{value}")))
    }

    fn unwrap_key<'a>(
        &self,
        context: &CredentialContext,
        envelope: &'a Ciphertext,
    ) -> Result<(Zeroizing<[u8; 32]>, &'a str), Error> {
        let parts: Vec<&str> = envelope.0.split('.').collect();
        let [version, kek_id, wrapped, value] = parts.as_slice() else {
            return Err(broken("an envelope has four parts"));
        };
        if *version != "v1" {
            return Err(broken("unknown envelope version"));
        }
        let kek = self.kek(kek_id, context)?;
        let opened = open_part(&kek, &context.aad(&format!("dek{kek_id}")), wrapped)?;
        let mut data_key = Zeroizing::new([0; 32]);
        if opened.len() != data_key.len() {
            return Err(broken("the data key has another length"));
        }
        data_key.copy_from_slice(&opened);
        Ok((data_key, value))
    }

    /// Opens a value, which is overwritten when it is dropped.
    ///
    /// # Errors
    /// 500 `decryption_failed` for another row, another key or changed bytes; its internal text names the row and the
    /// key, and nothing else.
    pub fn open(
        &self,
        context: &CredentialContext,
        envelope: &Ciphertext,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.unwrap_key(context, envelope)
            .and_then(|(data_key, value)| open_part(&data_key, &context.aad("val"), value))
            .map_err(|_| context.unreadable(envelope))
    }

    /// Wraps the data key anew under the key of id `to`; the value stays as it is. The value is opened as well: an
    /// envelope that only half opens must not pass for a good one.
    ///
    /// # Errors
    /// As [`Keks::open`]; 500 when there is no key of id `to`.
    pub fn rewrap(
        &self,
        random: &impl Random,
        context: &CredentialContext,
        envelope: &Ciphertext,
        to: &str,
    ) -> Result<Ciphertext, Error> {
        if !self.knows(to) {
            return Err(Error::internal(format!("KEK_{to} is missing")));
        }
        let (data_key, value) = self
            .unwrap_key(context, envelope)
            .map_err(|_| context.unreadable(envelope))?;
        open_part(&data_key, &context.aad("val"), value)
            .map_err(|_| context.unreadable(envelope))?;
        self.wrap(random, context, to, data_key.as_ref(), value)
    }
}
