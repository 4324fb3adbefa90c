//! What a request will cost, and what it did cost.
//!
//! In scope: price rows, the row that is valid, integer sums. Out of scope: budgets, exchange with vendors.

use crate::size::Size;
use crate::types::ActualCost;
use api_types::{CostBasis, ImageOptions, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Bytes of a prompt that are taken for one token: English has about four, so this counts too many rather than too few.
const PROMPT_BYTES_A_TOKEN: u64 = 3;

/// What a price is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// An image.
    Image,
    /// The first megapixel of an image; each further one costs `extra_usd_micros`.
    Megapixel,
    /// A million tokens, by kind.
    MillionTokens,
}

/// How sure a price is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// It is the price.
    Exact,
    /// It is about that.
    Estimate,
}

/// Micro-dollars for a million tokens of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenRates {
    /// Text in.
    pub text_in: i64,
    /// Images in.
    pub image_in: i64,
    /// Images out.
    pub image_out: i64,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceRow {
    /// Model.
    pub model: String,
    /// Effective options that it holds for; all of them must match.
    #[serde(default)]
    pub when: BTreeMap<String, Vec<Value>>,
    /// Unit.
    pub unit: Unit,
    /// Micro-dollars a unit; absent for tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_micros: Option<i64>,
    /// Each further megapixel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_usd_micros: Option<i64>,
    /// Rates of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenRates>,
    /// First day, `2026-11-16`.
    pub from: String,
    /// First day on which it is not valid any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// How sure it is.
    pub basis: Basis,
    /// The most that a unit can cost, for estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper_usd_micros: Option<i64>,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// It costs nothing, and that is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub free: bool,
}

impl PriceRow {
    fn is_valid(&self, day: &str) -> bool {
        self.from.as_str() <= day && self.until.as_deref().is_none_or(|until| day < until)
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.when.iter().all(|(name, allowed)| {
            facts
                .get(name)
                .is_some_and(|value| allowed.contains(&value))
        })
    }
}

struct Facts<'a>(&'a ImageOptions);

impl Facts<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        let options = self.0;
        match name {
            "quality" => serde_json::to_value(options.quality?).ok(),
            "size" => options.size.clone().map(Value::from),
            "aspect_ratio" => options.aspect_ratio.clone().map(Value::from),
            "format" => serde_json::to_value(options.format?).ok(),
            "background" => serde_json::to_value(options.background?).ok(),
            _ => None,
        }
    }
}

/// What a request is expected to cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Micro-dollars.
    pub usd_micros: i64,
    /// The most it can cost.
    pub upper_usd_micros: i64,
    /// How sure it is.
    pub basis: Basis,
    /// First day of the row.
    pub price_version: String,
}

/// No valid row says what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceUnknown;

/// Tokens that a vendor reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Text in.
    pub text_in: u64,
    /// Images in.
    pub image_in: u64,
    /// Images out.
    pub image_out: u64,
}

/// The prices of one provider: the vendor's, and those of the settings, which win.
#[derive(Clone, Debug)]
pub struct PriceBook<'a> {
    built_in: &'a [PriceRow],
    settings: &'a [PriceRow],
    private: bool,
}

impl<'a> PriceBook<'a> {
    /// Rows of the vendor's data and of the settings; `private` admits rows with `free`.
    pub const fn new(built_in: &'a [PriceRow], settings: &'a [PriceRow], private: bool) -> Self {
        Self {
            built_in,
            settings,
            private,
        }
    }

    /// The row with the most matching options; a row of the settings wins over the vendor's, then the newer one.
    fn row(
        &self,
        model: &str,
        options: &ImageOptions,
        day: &str,
        tokens: bool,
    ) -> Option<&'a PriceRow> {
        let facts = Facts(options);
        let rows = [(1_u8, self.settings), (0, self.built_in)];
        rows.into_iter()
            .flat_map(|(own, rows)| rows.iter().map(move |row| (own, row)))
            .filter(|(_, row)| row.model == model && (row.unit == Unit::MillionTokens) == tokens)
            .filter(|(_, row)| row.is_valid(day) && row.matches(&facts))
            .max_by(|(own, row), (other_own, other)| {
                (own, row.when.len(), &row.from).cmp(&(other_own, other.when.len(), &other.from))
            })
            .map(|(_, row)| row)
    }

    /// What `options.n` images will cost.
    ///
    /// # Errors
    /// No valid row: an unknown price is never 0.
    pub fn estimate(
        &self,
        model: &str,
        options: &ImageOptions,
        prompt_bytes: u64,
        now: Timestamp,
    ) -> Result<Estimate, PriceUnknown> {
        let day = now.day();
        let (row, each, upper_each) = self.of_an_image(model, options, &day)?;
        let images = i64::from(options.n.max(1));
        let mut usd_micros = each.saturating_mul(images);
        let mut upper = upper_each.saturating_mul(images);
        if let Some(rates) = self
            .row(model, options, &day, true)
            .and_then(|row| row.tokens)
        {
            // A token is about four bytes and never less than one; the vendor may count the prompt for each image.
            usd_micros += per_million(prompt_bytes.div_ceil(4), rates.text_in);
            upper += per_million(prompt_bytes, rates.text_in).saturating_mul(images);
        }
        Ok(Estimate {
            usd_micros,
            upper_usd_micros: upper,
            basis: row.basis,
            price_version: row.from.clone(),
        })
    }

    /// The row that prices one image, its price, and the most that it can cost.
    fn of_an_image(
        &self,
        model: &str,
        options: &ImageOptions,
        day: &str,
    ) -> Result<(&'a PriceRow, i64, i64), PriceUnknown> {
        let row = self.row(model, options, day, false).ok_or(PriceUnknown)?;
        let each = row.usd_micros.ok_or(PriceUnknown)?;
        if row.free && !self.private || !row.free && each <= 0 {
            return Err(PriceUnknown);
        }
        let upper_each = row.upper_usd_micros.unwrap_or(each).max(each);
        if row.unit != Unit::Megapixel {
            return Ok((row, each, upper_each));
        }
        let size = options
            .size
            .as_deref()
            .and_then(Size::parse)
            .ok_or(PriceUnknown)?;
        let further = size.pixels().div_ceil(1_000_000).max(1).cast_signed() - 1;
        let extra = row.extra_usd_micros.unwrap_or(each);
        // The upper price of a further megapixel is as much higher as that of the first.
        let upper_extra = scaled(extra, upper_each, each);
        Ok((
            row,
            each + further * extra,
            upper_each + further * upper_extra,
        ))
    }

    /// The most tokens that the vendor will count for the prompt and `options.n` images: for each image as many output
    /// tokens as the most that it can cost would buy, and a token for three bytes of the prompt. 0 where no row prices the
    /// model by tokens: such a vendor counts none.
    pub fn tokens(
        &self,
        model: &str,
        options: &ImageOptions,
        prompt_bytes: u64,
        now: Timestamp,
    ) -> u32 {
        let day = now.day();
        let Some(rates) = self
            .row(model, options, &day, true)
            .and_then(|row| row.tokens)
        else {
            return 0;
        };
        let each = match self.of_an_image(model, options, &day) {
            Ok((.., upper_each)) => bought(upper_each, rates.image_out),
            // Without a price of the image only its prompt is known; the settle brings the rest.
            Err(PriceUnknown) => 0,
        };
        let images = u64::from(options.n.max(1));
        let tokens = prompt_bytes
            .div_ceil(PROMPT_BYTES_A_TOKEN)
            .saturating_add(each.saturating_mul(images));
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// What was charged: by the reported amount, else by reported tokens, else by the table. Without `options` nothing is
    /// looked up there: a price of something else than what was asked for would be wrong, and the caller has its estimate.
    pub fn actual(
        &self,
        model: &str,
        options: Option<&ImageOptions>,
        prompt_bytes: u64,
        reported_usd_micros: Option<i64>,
        tokens: Option<TokenUsage>,
        now: Timestamp,
    ) -> ActualCost {
        if let Some(usd_micros) = reported_usd_micros.filter(|reported| *reported >= 0) {
            return ActualCost {
                usd_micros: Some(usd_micros),
                basis: CostBasis::Reported,
            };
        }
        let none = ImageOptions::default();
        let rates = self
            .row(model, options.unwrap_or(&none), &now.day(), true)
            .and_then(|row| row.tokens);
        if let (Some(tokens), Some(rates)) = (tokens, rates) {
            let parts = [
                (tokens.text_in, rates.text_in),
                (tokens.image_in, rates.image_in),
                (tokens.image_out, rates.image_out),
            ];
            let sum: i128 = parts
                .iter()
                .map(|(count, rate)| i128::from(*count) * i128::from(*rate))
                .sum();
            return ActualCost {
                usd_micros: Some(round_up(sum)),
                basis: CostBasis::Reported,
            };
        }
        ActualCost {
            usd_micros: options
                .and_then(|options| self.estimate(model, options, prompt_bytes, now).ok())
                .map(|estimate| estimate.usd_micros),
            basis: CostBasis::Table,
        }
    }

    /// Rows of a model that are valid now.
    pub fn rows_of<'b>(
        &'b self,
        model: &'b str,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a PriceRow> + 'b {
        let day = now.day();
        self.settings
            .iter()
            .chain(self.built_in)
            .filter(move |row| row.model == model && row.is_valid(&day))
    }
}

/// The tokens that so many micro-dollars pay for, rounded up.
fn bought(usd_micros: i64, rate: i64) -> u64 {
    match (u64::try_from(usd_micros), u64::try_from(rate)) {
        (Ok(usd_micros), Ok(rate)) if rate > 0 => {
            let tokens = (u128::from(usd_micros) * 1_000_000).div_ceil(u128::from(rate));
            u64::try_from(tokens).unwrap_or(u64::MAX)
        }
        _ => 0,
    }
}

fn scaled(extra: i64, upper: i64, each: i64) -> i64 {
    if each <= 0 {
        return extra;
    }
    let product = i128::from(extra) * i128::from(upper);
    let scaled = (product + i128::from(each) - 1) / i128::from(each);
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

fn per_million(count: u64, rate: i64) -> i64 {
    round_up(i128::from(count) * i128::from(rate))
}

fn round_up(millionths: i128) -> i64 {
    i64::try_from((millionths + 999_999) / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::Quality;
    use serde_json::json;

    fn row(value: Value) -> PriceRow {
        serde_json::from_value(value).unwrap()
    }

    fn at(day: &str) -> Timestamp {
        Timestamp::parse(&format!("{day}T12:00:00Z")).unwrap()
    }

    fn options(quality: Quality, n: u32) -> ImageOptions {
        ImageOptions {
            quality: Some(quality),
            n,
            ..ImageOptions::default()
        }
    }

    fn rows() -> Vec<PriceRow> {
        vec![
            row(
                json!({"model":"m","unit":"image","usd_micros":60_000,"from":"2026-11-01","until":"2026-11-20","basis":"exact"}),
            ),
            row(
                json!({"model":"m","when":{"quality":["draft","low"]},"unit":"image","usd_micros":30_000,"from":"2026-11-01","basis":"exact"}),
            ),
        ]
    }

    #[test]
    fn the_most_matching_row_wins_and_dates_are_sharp() {
        let rows = rows();
        let book = PriceBook::new(&rows, &[], false);
        let price = |quality, n, day| {
            let estimate = book.estimate("m", &options(quality, n), 10, at(day));
            estimate.map(|estimate| estimate.usd_micros)
        };
        assert_eq!(price(Quality::Draft, 2, "2026-11-19"), Ok(60_000));
        assert_eq!(price(Quality::High, 2, "2026-11-19"), Ok(120_000));
        assert_eq!(price(Quality::High, 1, "2026-11-20"), Err(PriceUnknown));
        assert_eq!(price(Quality::High, 1, "2026-10-31"), Err(PriceUnknown));
        assert_eq!(price(Quality::Low, 1, "2030-01-01"), Ok(30_000));
    }

    #[test]
    fn an_unknown_or_zero_price_is_refused_and_free_is_for_private_hosts() {
        let zero = [row(
            json!({"model":"m","unit":"image","usd_micros":0,"from":"2026-01-01","basis":"exact"}),
        )];
        let free = [row(
            json!({"model":"m","unit":"image","usd_micros":0,"from":"2026-01-01","basis":"exact","free":true}),
        )];
        let price = |rows: &[PriceRow], private| {
            let book = PriceBook::new(rows, &[], private);
            book.estimate("m", &options(Quality::Low, 1), 0, at("2026-11-21"))
                .map(|estimate| estimate.usd_micros)
        };
        assert_eq!(price(&[], true), Err(PriceUnknown));
        assert_eq!(price(&zero, true), Err(PriceUnknown));
        assert_eq!(price(&free, false), Err(PriceUnknown));
        assert_eq!(price(&free, true), Ok(0));
        let book = PriceBook::new(&[], &[], false);
        let actual = book.actual("m", None, 0, None, None, at("2026-11-21"));
        assert_eq!(actual.usd_micros, None);
    }

    #[test]
    fn what_was_asked_for_is_priced_and_nothing_else() {
        let rows = rows();
        let book = PriceBook::new(&rows, &[], false);
        let now = at("2026-11-19");
        let four = options(Quality::Low, 4);
        let actual = |options| book.actual("m", options, 0, None, None, now).usd_micros;
        assert_eq!(actual(Some(&four)), Some(120_000));
        assert_eq!(actual(None), None);
        let told = book.actual("m", None, 0, Some(7), None, now);
        assert_eq!(told, ActualCost::reported(Some(7)));
    }

    #[test]
    fn settings_replace_the_vendors_price() {
        let built_in = rows();
        let settings = [row(
            json!({"model":"m","unit":"image","usd_micros":1_000,"from":"2026-01-01","basis":"exact"}),
        )];
        let book = PriceBook::new(&built_in, &settings, false);
        let estimate = book
            .estimate("m", &options(Quality::Low, 3), 0, at("2026-11-21"))
            .unwrap();
        assert_eq!(
            (estimate.usd_micros, estimate.price_version.as_str()),
            (3_000, "2026-01-01")
        );
    }

    #[test]
    fn tokens_are_summed_and_rounded_up_once() {
        let rows = [
            row(
                json!({"model":"m","unit":"image","usd_micros":5_880,"upper_usd_micros":6_468,"from":"2026-01-01","basis":"estimate"}),
            ),
            row(
                json!({"model":"m","unit":"million_tokens","tokens":{"text_in":5_000_000,"image_in":8_000_000,"image_out":30_000_000},"from":"2026-01-01","basis":"exact"}),
            ),
        ];
        let book = PriceBook::new(&rows, &[], false);
        let now = at("2026-11-21");
        let estimate = book
            .estimate("m", &options(Quality::Low, 2), 9, now)
            .unwrap();
        assert_eq!(
            (estimate.usd_micros, estimate.upper_usd_micros),
            (2 * 5_880 + 15, 2 * 6_468 + 90)
        );
        let usage = TokenUsage {
            text_in: 20,
            image_in: 0,
            image_out: 196,
        };
        let actual = book.actual("m", None, 9, None, Some(usage), now);
        assert_eq!(
            actual,
            ActualCost {
                usd_micros: Some(100 + 5_880),
                basis: CostBasis::Reported
            }
        );
        let cheap = [row(
            json!({"model":"m","unit":"million_tokens","tokens":{"text_in":1,"image_out":1},"from":"2026-01-01","basis":"exact"}),
        )];
        let usage = TokenUsage {
            text_in: 1,
            image_in: 0,
            image_out: 1,
        };
        let actual =
            PriceBook::new(&cheap, &[], false).actual("m", None, 0, None, Some(usage), now);
        assert_eq!(actual.usd_micros, Some(1));
        let table = book.actual("m", Some(&options(Quality::Low, 1)), 8, None, None, now);
        assert_eq!(
            table,
            ActualCost {
                usd_micros: Some(5_890),
                basis: CostBasis::Table
            }
        );
        let reported = book.actual("m", None, 0, Some(0), None, now);
        assert_eq!(reported.usd_micros, Some(0));
    }

    #[test]
    fn megapixels_are_rounded_up() {
        let rows = [row(
            json!({"model":"m","unit":"megapixel","usd_micros":1_000,"extra_usd_micros":500,"upper_usd_micros":1_100,"from":"2026-01-01","basis":"estimate"}),
        )];
        let book = PriceBook::new(&rows, &[], false);
        let mut asked = options(Quality::Low, 2);
        assert_eq!(
            book.estimate("m", &asked, 0, at("2026-11-21")),
            Err(PriceUnknown)
        );
        asked.size = Some("1536x1024".to_owned());
        let estimate = book.estimate("m", &asked, 0, at("2026-11-21")).unwrap();
        assert_eq!(
            (estimate.usd_micros, estimate.upper_usd_micros),
            (3_000, 3_300)
        );
    }
}
