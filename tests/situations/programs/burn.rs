// Names of Rust: a function, a method of a generic type through a trait, a closure.
use std::hint::black_box;
use std::io::Write;

trait Shop {
    fn middle(&self, x: u64) -> u64;
}

struct Cart<T>(T);

impl<T: Copy + Into<u64>> Shop for Cart<T> {
    #[inline(never)]
    fn middle(&self, x: u64) -> u64 {
        leaf(x + self.0.into()) + 1
    }
}

#[inline(never)]
fn leaf(mut x: u64) -> u64 {
    for i in 0..20_000_000u64 {
        x = (x ^ black_box(i)).wrapping_mul(6364136223846793005).wrapping_add(1);
    }
    x
}

#[inline(never)]
fn outer(call: &dyn Fn(u64) -> u64) -> u64 {
    call(black_box(1)) + 2
}

fn main() {
    println!("READY");
    std::io::stdout().flush().unwrap();
    let cart = Cart(7u32);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut sum = 0u64;
    while std::time::Instant::now() < end {
        let by = sum;
        let call = |x: u64| cart.middle(x + by) + 1;
        sum = sum.wrapping_add(black_box(outer(black_box(&call))));
    }
    black_box(sum);
}
