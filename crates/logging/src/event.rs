//! The closed list of events: what machines read out of log lines.

macro_rules! events {
    ($($variant:ident $name:literal $doc:literal;)+) => {
        /// `metadata.event` of a line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $(#[doc = $doc] $variant,)+
        }

        impl Event {
            /// The name, for `event = Event::Usage.as_str()`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The event of that name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

events! {
    Request "request" "By the middleware, once per request, at its end: `route`, `method`, `status`, `code?`, `duration_ms`, `key_id`, `org_id`, `project_id?`, `ops`, `spans`, `lines_suppressed`.";
    ProviderAttempt "provider_attempt" "By whoever runs the driver: `provider`, `model`, `outcome`, `code?`, `duration_ms`, `attempt`.";
    RateLimit "rate_limit" "By callers of acquire: `provider`, `source` (`own`, `provider`), `outcome` (`refused`, `queued`), `retry_after_ms`.";
    Usage "usage" "At settle: `provider`, `model`, `images`, `tokens_used`, `cost_usd_micros`, `price_known`.";
    Cron "cron" "By each scheduled run: `name`, `result`.";
    Gauge "gauge" "By sweepers, when a measured state changes: `name`, `label`, `value`.";
    Audit "audit" "By config-service, once a day for each audit chain: `name`, `result`, `org_id`, `seq`, `hash`, `mac`.";
}
