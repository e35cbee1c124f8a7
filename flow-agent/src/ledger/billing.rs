//! Which bytes are billed and what they cost, in decimal arithmetic without floating point.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::counters::Counters;

/// Which bytes are billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Billed {
    #[default]
    Both,
    Out,
    In,
    /// The larger of in and out.
    Max,
}

impl Billed {
    /// The bytes of `counters` that are billed; saturating.
    pub fn bytes(self, counters: Counters) -> u64 {
        match self {
            Self::Both => counters.bytes(),
            Self::Out => counters.out_bytes(),
            Self::In => counters.in_bytes(),
            Self::Max => counters.in_bytes().max(counters.out_bytes()),
        }
    }
}

/// The price of traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The number of bytes that `amount` buys; never zero.
    pub per: u64,
    pub amount: Decimal,
    pub currency: String,
}

/// An amount of money, rounded to the smallest unit of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    pub amount: Decimal,
    pub currency: String,
}

impl Price {
    /// The price of `bytes`, pro rata to the byte and rounded once, half up, to the smallest unit of the currency. `None`
    /// if the result has more than the 28 digits that a decimal holds.
    pub fn of(&self, bytes: u64) -> Option<Money> {
        let exact = Decimal::from(bytes).checked_mul(self.amount)?.checked_div(Decimal::from(self.per))?;
        let digits = self.minor_digits();
        let mut amount = exact.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
        amount.rescale(digits);
        Some(Money { amount, currency: self.currency.clone() })
    }

    /// How many digits after the point amounts have in this currency.
    pub fn minor_digits(&self) -> u32 {
        minor_digits(&self.currency)
    }
}

/// Digits after the point (ISO 4217): two unless listed here.
fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests;
