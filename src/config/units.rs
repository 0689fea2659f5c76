//! Values with units: durations, sizes, addresses and the like, as people write them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

use crate::config::reader::{Value, unexpected};
use crate::config::settings::Shards;
use crate::policy::ratelimit::Rate;

impl Value for Duration {
    const EXAMPLE: &'static str = "a time such as \"500ms\", \"10s\" or \"2m\"";

    fn read(value: &DeValue<'_>) -> Result<Duration, String> {
        let text = value.as_str().ok_or_else(|| unexpected(value))?;
        match time(text)? {
            Duration::ZERO => {
                Err("0 is no time limit here: write the longest time that you accept".to_owned())
            }
            time => Ok(time),
        }
    }
}

/// A time that may be none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Value for Span {
    const EXAMPLE: &'static str = "a time such as \"0s\", \"500ms\", \"10s\" or \"2m\"";

    fn read(value: &DeValue<'_>) -> Result<Span, String> {
        time(value.as_str().ok_or_else(|| unexpected(value))?).map(Span)
    }
}

/// As [`Span`], for what is compared with times in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub u32);

impl Value for Seconds {
    const EXAMPLE: &'static str = "a time in whole seconds such as \"0s\", \"30s\" or \"2m\"";

    fn read(value: &DeValue<'_>) -> Result<Seconds, String> {
        let text = value.as_str().ok_or_else(|| unexpected(value))?;
        let time = time(text)?;
        match u32::try_from(time.as_secs()) {
            Ok(seconds) if time.subsec_nanos() == 0 => Ok(Seconds(seconds)),
            _ => Err(format!("\"{text}\" has parts of a second")),
        }
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    match scaled(text, &units) {
        None => Err(format!("\"{text}\" is not a time")),
        Some(86_400_001..) => Err(format!("\"{text}\" is longer than a day")),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

/// Largest size that can be written: bodies and tokens stand in memory.
const LARGEST: u64 = 1 << 30;

impl Value for Size {
    const EXAMPLE: &'static str = "a size such as \"512B\", \"64KiB\" or \"1MiB\"";

    fn read(value: &DeValue<'_>) -> Result<Size, String> {
        let text = value.as_str().ok_or_else(|| unexpected(value))?;
        let units = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("B", 1),
        ];
        let bytes = scaled(text, &units).ok_or_else(|| format!("\"{text}\" is not a size"))?;
        let bytes = Some(bytes).filter(|&bytes| bytes <= LARGEST);
        let bytes = bytes.ok_or_else(|| format!("\"{text}\" is more than 1GiB"))?;
        usize::try_from(bytes)
            .map(Size)
            .map_err(|_| "too large".to_owned())
    }
}

/// A whole number before one of the units.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|each: char| !each.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

impl Value for SocketAddr {
    const EXAMPLE: &'static str =
        "an address and a port such as \"127.0.0.1:8080\" or \"[::]:443\"";

    fn read(value: &DeValue<'_>) -> Result<SocketAddr, String> {
        let text = value.as_str().ok_or_else(|| unexpected(value))?;
        text.parse()
            .map_err(|_| format!("\"{text}\" is not an address with a port"))
    }
}

impl Value for IpNet {
    const EXAMPLE: &'static str = "an address or prefix such as \"10.0.0.0/8\"";

    fn read(value: &DeValue<'_>) -> Result<IpNet, String> {
        let text = value.as_str().ok_or_else(|| unexpected(value))?;
        let network = text.parse::<IpNet>();
        let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network = network.map_err(|_| format!("\"{text}\" is not a prefix"))?;
        if network.trunc() == network {
            Ok(network)
        } else {
            let meant = network.trunc();
            Err(format!(
                "{network} has bits beyond its prefix; {meant} is the network"
            ))
        }
    }
}

/// Most shards that can be asked for: cores of the largest machines.
const MOST_SHARDS: usize = 1024;

impl Value for Shards {
    const EXAMPLE: &'static str = "\"auto\" or a number such as 4";

    fn read(value: &DeValue<'_>) -> Result<Shards, String> {
        if value.as_str() == Some("auto") {
            return Ok(Shards::Auto);
        }
        match usize::read(value)? {
            count @ 1..=MOST_SHARDS => Ok(Shards::Count(count)),
            count => Err(format!("{count} shards are out of range")),
        }
    }
}

impl Value for Rate {
    const EXAMPLE: &'static str = "a rate such as \"100/s\", \"600/m\", \"1000/h\" or \"5000/d\"";

    fn read(value: &DeValue<'_>) -> Result<Rate, String> {
        Rate::parse(value.as_str().ok_or_else(|| unexpected(value))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(text: &str) -> Result<T, String> {
        let parsed = DeValue::parse(text).unwrap();
        T::read(parsed.get_ref())
    }

    #[test]
    fn units_are_exact() {
        assert_eq!(read("\"500ms\""), Ok(Duration::from_millis(500)));
        assert_eq!(read("\"2m\""), Ok(Duration::from_secs(120)));
        assert_eq!(read("\"64KiB\""), Ok(Size(65_536)));
        assert_eq!(read("\"0B\""), Ok(Size(0)));
        for bad in [
            "10", "\"10\"", "\"s\"", "\"-1s\"", "\"1.5s\"", "\"1 s\"", "\"0s\"", "\"25h\"",
        ] {
            assert!(read::<Duration>(bad).is_err(), "{bad}");
        }
        assert_eq!(read("\"0s\""), Ok(Span(Duration::ZERO)));
        assert_eq!(read("\"1ms\""), Ok(Span(Duration::from_millis(1))));
        for (good, seconds) in [("\"0s\"", 0), ("\"2000ms\"", 2), ("\"24h\"", 86_400)] {
            assert_eq!(read(good), Ok(Seconds(seconds)));
        }
        for bad in ["\"1500ms\"", "\"1ms\"", "\"25h\"", "\"-1s\"", "0", "\"0\""] {
            assert!(read::<Seconds>(bad).is_err(), "{bad}");
        }
        for bad in ["\"64k\"", "\"2GiB\"", "\"99999999999999999999B\"", "64"] {
            assert!(read::<Size>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_have_no_bits_to_spare() {
        assert!(read::<IpNet>("\"10.0.0.0/8\"").is_ok());
        assert!(read::<IpNet>("\"::1\"").is_ok());
        let error = read::<IpNet>("\"10.0.0.1/8\"").unwrap_err();
        assert!(error.contains("10.0.0.0/8"));
    }
}
