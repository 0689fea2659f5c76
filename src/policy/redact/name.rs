//! Names of secrets.

/// Header fields that hold credentials by their definition (RFC 9110 section 11.6, RFC 6265), or by
/// custom.
const FIELDS: [&str; 7] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
    "x-auth",
    "x-auth-token",
];

/// Words that make a name that of a secret wherever they stand in it, also within another word.
const PARTS: [&str; 15] = [
    "accesskey",
    "apikey",
    "assertion",
    "authorization",
    "credential",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "sessid",
    "session",
    "signature",
    "token",
];

/// Words that do so only as a whole: `pin` is one, `pinned` and `opinion` are not.
const WORDS: [&str; 22] = [
    "auth", "authn", "bearer", "cred", "creds", "csrf", "cvc", "cvv", "jwt", "mfa", "oauth", "otp",
    "pass", "pin", "psk", "pw", "pwd", "saml", "sid", "sig", "sso", "totp",
];

/// What makes the word `key` behind it that of a secret.
const KEYS: [&str; 9] = [
    "access",
    "api",
    "client",
    "encryption",
    "license",
    "master",
    "private",
    "shared",
    "signing",
];

/// Longest word that is looked at; there is no longer one above.
const LONGEST: usize = 64;

/// So much of the end of a name is looked at.
const NAME: usize = 2048;

/// Whether a header field holds nothing but a credential. Asked of every field of a request.
pub fn is_credential_field(name: &[u8]) -> bool {
    let mut known = FIELDS.iter();
    known.any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether a name, of a field, an argument, a member or a path of them, is that of a secret.
pub fn is_secret_name(name: &[u8]) -> bool {
    if is_credential_field(name) {
        return true;
    }
    let name = &name[name.len().saturating_sub(NAME)..];
    let mut before = Word::default();
    let mut joined = Word::default();
    words(name).any(|(word, goes_on)| {
        let word = Word::of(word);
        if !goes_on {
            joined = Word::default();
        }
        joined.add(word.bytes());
        let is_key = matches!(word.bytes(), b"key" | b"keys") && before.is_one_of(&KEYS);
        let is_secret = is_key
            || word.is_one_of(&WORDS)
            || word.has_one_of(&PARTS)
            // `passWord`, `ApiKey` and the like are one word to others.
            || joined.has_one_of(&PARTS);
        before = word;
        is_secret
    })
}

/// A word in small letters.
struct Word {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Default for Word {
    fn default() -> Word {
        Word {
            bytes: [0; LONGEST],
            length: 0,
        }
    }
}

impl Word {
    fn of(text: &[u8]) -> Word {
        let mut word = Word::default();
        word.add(text);
        word
    }

    /// Puts more behind it; of what is too long the end is kept.
    fn add(&mut self, text: &[u8]) {
        let text = &text[text.len().saturating_sub(LONGEST)..];
        let kept = self.length.min(LONGEST - text.len());
        self.bytes.copy_within(self.length - kept..self.length, 0);
        for (into, byte) in self.bytes[kept..].iter_mut().zip(text) {
            *into = byte.to_ascii_lowercase();
        }
        self.length = kept + text.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The word itself or several of it.
    fn is_one_of(&self, words: &[&str]) -> bool {
        let word = self.bytes();
        let single = word.strip_suffix(b"s").unwrap_or(word);
        let mut words = words.iter().map(|word| word.as_bytes());
        words.any(|known| known == word || known == single)
    }

    fn has_one_of(&self, parts: &[&str]) -> bool {
        let word = self.bytes();
        let mut parts = parts.iter().map(|part| part.as_bytes());
        parts.any(|part| word.windows(part.len()).any(|window| window == part))
    }
}

/// The words of a name, and whether each goes on from the one before with nothing between: in
/// `newPassWord` the second and the third do. What is no letter stands between words, and a capital
/// letter begins one, as the last of several does: `userPIN`, `APIKey`.
fn words(name: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let mut at = 0;
    let mut end = 0;
    std::iter::from_fn(move || {
        let rest = &name[at..];
        at += rest.iter().position(u8::is_ascii_alphabetic)?;
        let start = at;
        at += length_of_word(&name[at..]);
        let goes_on = start == end && start > 0;
        end = at;
        Some((&name[start..at], goes_on))
    })
}

fn length_of_word(text: &[u8]) -> usize {
    let is = |at: usize, is: fn(&u8) -> bool| text.get(at).is_some_and(is);
    let capitals = text
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    let length = match capitals {
        // The last of them begins the next word.
        2.. if is(capitals, u8::is_ascii_lowercase) => return capitals - 1,
        2.. => return capitals,
        capitals => capitals,
    };
    let small = text[length..]
        .iter()
        .take_while(|byte| byte.is_ascii_lowercase());
    length + small.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_in_any_case() {
        let all = |name: &'static str| -> Vec<&str> {
            let words = words(name.as_bytes());
            words
                .map(|(word, _)| std::str::from_utf8(word).unwrap())
                .collect()
        };
        assert_eq!(all("new_pass-code"), ["new", "pass", "code"]);
        assert_eq!(all("userPIN2x"), ["user", "PIN", "x"]);
        assert_eq!(all("APIKeyOfUser"), ["API", "Key", "Of", "User"]);
        assert_eq!(all("json.a.0.B"), ["json", "a", "B"]);
        assert_eq!(all("12"), [""; 0]);
    }

    #[test]
    fn names_of_secrets_are_known_and_their_twins_are_not() {
        for name in [
            "pwd",
            "PWD",
            "new_pwd",
            "pwd2",
            "pass",
            "userPass",
            "db-pass",
            "PASS",
            "pin",
            "userPIN",
            "card_pin",
            "pins",
            "otp",
            "otpCode",
            "sms-otp",
            "jwt",
            "idJWT",
            "x-auth",
            "X-Auth",
            "XAuth",
            "auth",
            "password",
            "newPassword",
            "PassWord",
            "userpassword1",
            "api_key",
            "API-KEY",
            "apiKey",
            "APIKey",
            "apikey",
            "json.user.api_key",
            "privateKey",
            "client_secret",
            "accessToken",
            "refresh_token",
            "csrf",
            "XSRF-TOKEN",
            "JSESSIONID",
            "PHPSESSID",
            "sid",
            "connect.sid",
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "SAMLResponse",
            "cvv",
            "cvv2",
            "json.0.card.cvc",
            "REQUEST_HEADERS:X-Auth",
            "login/password/v",
            "creds",
        ] {
            assert!(is_secret_name(name.as_bytes()), "{name}");
        }
        for name in [
            "passenger",
            "passengers",
            "compass",
            "bypass",
            "pinned",
            "opinion",
            "spin",
            "shipping",
            "topic",
            "option",
            "adopt",
            "author",
            "authority",
            "keyword",
            "key",
            "monkey",
            "primary_key",
            "cookie_name",
            "description",
            "design",
            "significant",
            "side",
            "signal",
            "insider",
            "cvs",
            "json.items.0.name",
            "",
            "x",
            "REQUEST_HEADERS:Referer",
            "pwned",
            "passion",
            "embassy",
            "jwtfoo",
        ] {
            assert!(!is_secret_name(name.as_bytes()), "{name}");
        }
        let long = [&b"x.".repeat(5000)[..], b"password"].concat();
        assert!(is_secret_name(&long));
    }
}
