//! What the events are about: an outdoor shop with a few thousand products.

use super::random::Random;
use super::text::{Hex, Hundredths, put};

/// Where the shop is.
pub(crate) const HOST: &str = "https://www.fernweh.example";

const PRODUCTS: u64 = 3_000;

const CATEGORIES: &[(&str, &str, &[&str])] = &[
    ("tents", "Tents & Shelters", &["Trekking Tent", "Family Tent", "Tarp 3×3", "Bivy Sack"]),
    ("backpacks", "Backpacks", &["Daypack 22 L", "Trekking Pack 55 L", "Hip Bag", "Travel Duffel"]),
    ("sleeping-bags", "Sleeping Bags", &["Down Bag −5 °C", "Summer Quilt", "Silk Liner", "Foam Mat"]),
    ("jackets", "Women\\u2019s Jackets", &["Rain Shell", "Down Jacket", "Softshell", "Wind Vest"]),
    ("shoes", "Shoes", &["Trail Runner", "Approach Shoe", "Winter Boot", "Camp Sandal"]),
    ("cooking", "Cooking", &["Gas Stove", "Titanium Pot", "12\\\" Griddle", "Spork Set"]),
];
const BRANDS: &[&str] = &["Hüttenwerk", "Nordlys", "Col du Vent", "Kestrel & Sons", "Altiplano", "Blåfjell"];
const VARIANTS: &[&str] = &["moss / M", "granite / L", "ember / S", "ink / XL", "sand / one size"];

/// Searches, escaped for a URL and as typed.
pub(crate) const SEARCHES: &[(&str, &str)] = &[
    ("rain+jacket", "rain jacket"),
    ("zelt+2+personen", "zelt 2 personen"),
    ("gas%20stove", "gas stove"),
    ("caf%C3%A9+maker", "café maker"),
    ("trail+shoes+wide", "trail shoes wide"),
];

/// A product with its JSON members written once.
#[derive(Debug)]
pub(crate) struct Product {
    /// Members of a Segment product object, without braces.
    pub(crate) json: String,
    /// Path of its page.
    pub(crate) path: String,
    /// Title of its page, escaped.
    pub(crate) title: String,
    /// Category (index into the shop's categories).
    pub(crate) category: usize,
    /// Price.
    pub(crate) cents: u64,
}

/// All products.
#[derive(Debug)]
pub(crate) struct Shop {
    products: Vec<Product>,
}

impl Shop {
    /// Stocks the shop; it is the same for every seed.
    pub(crate) fn open() -> Shop {
        Shop { products: (0..PRODUCTS).map(Product::nth).collect() }
    }

    /// Returns a product, the popular ones more often.
    pub(crate) fn pick(&self, random: &mut Random) -> usize {
        let unit = random.unit();
        ((unit * unit * self.products.len() as f64) as usize).min(self.products.len() - 1)
    }

    /// Returns the product number `index`.
    pub(crate) fn product(&self, index: usize) -> &Product {
        &self.products[index % self.products.len()]
    }

    /// Returns path and title of a category.
    pub(crate) fn category(index: usize) -> (&'static str, &'static str) {
        let (slug, title, _) = CATEGORIES[index % CATEGORIES.len()];
        (slug, title)
    }
}

impl Product {
    fn nth(index: u64) -> Product {
        let mut random = Random::new(index, 99);
        let category = (index % CATEGORIES.len() as u64) as usize;
        let (slug, category_title, names) = CATEGORIES[category];
        let (brand, name, variant) = (*random.pick(BRANDS), *random.pick(names), *random.pick(VARIANTS));
        let cents = 900 + 50 * random.below(700) + 45;
        let path = format!("/shop/{slug}/p-{:05}", 10_000 + index * 37);
        let mut json = Vec::with_capacity(512);
        put!(
            &mut json,
            r#""product_id":""#,
            Hex(random.bits(), 16),
            Hex(random.bits(), 8),
            r#"","sku":"FW-"#,
            10_000 + index * 37
        );
        put!(
            &mut json,
            r#"","category":""#,
            category_title,
            r#"","name":""#,
            brand,
            " ",
            name,
            r#"","brand":""#,
            brand
        );
        put!(&mut json, r#"","variant":""#, variant, r#"","price":"#, Hundredths(cents), r#","url":""#, HOST, path);
        put!(&mut json, r#"","image_url":"https://img.fernweh.example/p/"#, 10_000 + index * 37, r#"/front.webp""#);
        Product {
            json: String::from_utf8(json).unwrap_or_default(),
            path,
            title: format!("{brand} {name} – Fernweh"),
            category,
            cents,
        }
    }
}
