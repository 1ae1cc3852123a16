// The worksheets there are. arithtf.tasks.{multiplication,running_sum,division} show what each looks like.
#include <algorithm>
#include <stdexcept>

#include "tasks/worksheet.h"

namespace arithtf::worksheets {
namespace {

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

// Digit of significance i, 0 beyond the last.
int digit(const Number& number, std::int64_t i) {
  return i < number.length ? number.digits[number.length - 1 - i] : 0;
}

// Rows of a * b_j plus what the rows before have left, then the product. A row: its mark; for every digit
// of a the high and the low digit of the partial product, the digit of the sum and its carry; the last sum.
class Product final : public Sheet {
 public:
  using Sheet::Sheet;
  enum Segment : std::int64_t {
    bos, first, times, second, equals, row, high, low, sum, fixed, carry, end, answer, segment_count
  };

  std::int64_t segments() const override { return segment_count; }
  std::int64_t row_stride(Lengths lengths) const override { return lengths[0] + 3; }
  std::int64_t work_tokens(Lengths lengths) const override {
    return lengths[1] * row_length(lengths[0]) + 1 + lengths[0] + lengths[1];
  }

  void runs(Lengths lengths, std::int64_t token, RunList& runs) const override {
    const std::int64_t n = lengths[0], m = lengths[1];
    for (std::int64_t j = 0; j < m; ++j, token += row_length(n)) {
      const Segment rest = j == m - 1 ? fixed : sum;
      runs.add(row, j, 1, 0, 1, token);
      runs.add(high, j, n, 0, 4, token + 1);
      runs.add(low, j, n, 0, 4, token + 2);
      runs.add(fixed, j, 1, 0, 1, token + 3);
      if (n > 1) runs.add(rest, j, n - 1, 1, 4, token + 7);
      runs.add(carry, j, n, 0, 4, token + 4);
      runs.add(rest, j, 1, n, 1, token + 4 * n + 1);
    }
    runs.add(end, 0, 1, 0, 1, token);
    runs.add(answer, 0, n + m + 1, 0, 1, token + 1);
  }

  void write_answer(Numbers operands, std::uint8_t* out) const override {
    const Number &a = operands[0], &b = operands[1];
    std::uint8_t* product = out + b.length * row_length(a.length);
    *product++ = symbol(equals_symbol);
    // The digits of the running sum that later rows still change, least significant first.
    std::vector<std::uint8_t> running(size(a.length + 1));
    for (std::int64_t j = 0; j < b.length; ++j) {
      const int factor = digit(b, j);
      int high_before = 0, carried = 0;
      *out++ = symbol(row_symbol);
      for (std::int64_t i = 0; i < a.length; ++i) {
        const int partial = digit(a, i) * factor;
        const int low_digit = partial % base_;
        const int value = low_digit + high_before + running[size(i + 1)] + carried;
        high_before = partial / base_;
        carried = value / base_;
        running[size(i)] = static_cast<std::uint8_t>(value % base_);
        *out++ = static_cast<std::uint8_t>(high_before);
        *out++ = static_cast<std::uint8_t>(low_digit);
        *out++ = running[size(i)];
        *out++ = static_cast<std::uint8_t>(carried);
      }
      running.back() = static_cast<std::uint8_t>(high_before + carried);
      *out++ = running.back();
      *product++ = running.front();
    }
    std::copy_n(running.data() + 1, a.length, product);
  }

 private:
  static std::int64_t row_length(std::int64_t n) { return 4 * n + 2; }
};

// Rows of the running sum: after each operand from the second on, all digits so far, each with its carry.
class Sum final : public Sheet {
 public:
  using Sheet::Sheet;
  enum Segment : std::int64_t { bos, first, plus, term, equals, row, sum, carry, segment_count };

  std::int64_t segments() const override { return segment_count; }
  std::int64_t row_stride(Lengths lengths) const override { return columns(lengths) + 2; }
  std::int64_t work_tokens(Lengths lengths) const override {
    return (terms(lengths) - 1) * 2 * columns(lengths);
  }

  void runs(Lengths lengths, std::int64_t token, RunList& runs) const override {
    const std::int64_t w = columns(lengths), k = terms(lengths);
    for (std::int64_t r = 1; r < k; ++r, token += 2 * w) {
      runs.add(row, r, 1, 0, 1, token);
      runs.add(sum, r, w, 0, 2, token + 1);
      runs.add(carry, r, w - 1, 0, 2, token + 2);
    }
    runs.add(row, k, 1, 0, 1, token);  // EOS stands where another row would begin
  }

  void write_answer(Numbers operands, std::uint8_t* out) const override {
    std::vector<std::int64_t> lengths;
    for (const Number& number : operands) lengths.push_back(number.length);
    const std::int64_t w = columns(lengths);
    std::vector<std::uint8_t> running(size(w));
    for (std::int64_t i = 0; i < w; ++i) running[size(i)] = static_cast<std::uint8_t>(digit(operands[0], i));
    for (const Number& number : operands.subspan(1)) {
      int carried = 0;
      *out++ = symbol(row_symbol);
      for (std::int64_t i = 0; i < w; ++i) {
        const int value = running[size(i)] + digit(number, i) + carried;
        carried = value / base_;
        running[size(i)] = static_cast<std::uint8_t>(value % base_);
        *out++ = running[size(i)];
        if (i < w - 1) *out++ = static_cast<std::uint8_t>(carried);
      }
    }
  }

 private:
  static std::int64_t terms(Lengths lengths) { return static_cast<std::int64_t>(lengths.size()); }

  // k numbers below base^L have a sum below k base^L: the digits of k - 1 are enough above the longest. One
  // more column makes every row end with a 0.
  std::int64_t columns(Lengths lengths) const {
    std::int64_t w = *std::max_element(lengths.begin(), lengths.end()) + 1;
    for (std::int64_t rest = terms(lengths) - 1; rest > 0; rest /= base_) ++w;
    return w;
  }
};

// Long division: for each digit of the dividend base - 1 trial subtractions of the divisor. A trial: its
// mark; the borrows of remainder - divisor; the remainder after it, the same if the last borrow is 1, each
// digit but the last with its borrow (0 if all stays the same); how many trials of this digit went well.
class Quotient final : public Sheet {
 public:
  using Sheet::Sheet;
  enum Segment : std::int64_t {
    bos, first, over, second, equals, first_row, row, first_borrow, borrow, flag, first_digit, trial,
    left, rest, top, first_taken, taken, count, digit_found, end, answer, remainder, segment_count
  };

  std::int64_t segments() const override { return segment_count; }
  bool divides() const override { return true; }
  std::int64_t row_stride(Lengths lengths) const override { return columns(lengths) + 2; }
  std::int64_t work_tokens(Lengths lengths) const override {
    return rows(lengths) * row_length(columns(lengths)) + 1 + lengths[0] + 1 + lengths[1];
  }

  void runs(Lengths lengths, std::int64_t token, RunList& runs) const override {
    const std::int64_t n = lengths[0], m = lengths[1], w = columns(lengths), all = rows(lengths);
    for (std::int64_t rho = 0; rho < all; ++rho, token += row_length(w)) {
      const bool begins = rho % (base_ - 1) == 0, ends = rho % (base_ - 1) == base_ - 2;
      const Segment kept = rho == all - 1 ? rest : ends ? left : trial;
      runs.add(begins ? first_row : row, rho, 1, 0, 1, token);
      runs.add(begins ? first_borrow : borrow, rho, 1, 0, 1, token + 1);
      if (w > 2) runs.add(borrow, rho, w - 2, 1, 1, token + 2);
      runs.add(flag, rho, 1, w - 1, 1, token + w);
      runs.add(begins ? first_digit : kept, rho, 1, 0, 1, token + w + 1);
      if (w > 2) runs.add(kept, rho, w - 2, 1, 2, token + w + 3);
      runs.add(ends ? top : kept, rho, 1, w - 1, 1, token + 3 * w - 1);
      runs.add(begins ? first_taken : taken, rho, 1, 0, 1, token + w + 2);
      if (w > 2) runs.add(taken, rho, w - 2, 1, 2, token + w + 4);
      runs.add(ends ? digit_found : count, rho, 1, 0, 1, token + 3 * w);
    }
    runs.add(end, all, 1, 0, 1, token);  // stands where another row would begin
    runs.add(answer, all - 1, n + 1, 0, 1, token + 1);  // the quotient and the mark after it
    runs.add(remainder, 0, m + 1, 0, 1, token + n + 2);
  }

  void write_answer(Numbers operands, std::uint8_t* out) const override {
    const Number &a = operands[0], &b = operands[1];
    const std::int64_t w = b.length + 1;
    std::vector<std::uint8_t> work(size(w)), quotient;
    for (std::int64_t j = 0; j < a.length; ++j) {
      std::copy_backward(work.begin(), work.end() - 1, work.end());
      work[0] = a.digits[j];
      int found = 0;
      for (int t = 0; t < base_ - 1; ++t) {
        *out++ = symbol(row_symbol);
        int borrowed = 0;
        for (std::int64_t i = 0; i < w; ++i) {
          borrowed = work[size(i)] < digit(b, i) + borrowed ? 1 : 0;
          *out++ = static_cast<std::uint8_t>(borrowed);
        }
        const bool goes = borrowed == 0;
        int taken_before = 0;
        for (std::int64_t i = 0; i < w; ++i) {
          const int after = goes ? work[size(i)] - digit(b, i) - taken_before : work[size(i)];
          taken_before = after < 0 ? 1 : 0;
          work[size(i)] = static_cast<std::uint8_t>(after + base_ * taken_before);
          *out++ = work[size(i)];
          if (i < w - 1) *out++ = static_cast<std::uint8_t>(taken_before);
        }
        found += goes ? 1 : 0;
        *out++ = static_cast<std::uint8_t>(found);
      }
      quotient.push_back(static_cast<std::uint8_t>(found));
    }
    *out++ = symbol(equals_symbol);
    out = std::reverse_copy(quotient.begin(), quotient.end(), out);
    *out++ = symbol(row_symbol);
    std::copy_n(work.begin(), b.length, out);
  }

 private:
  std::int64_t rows(Lengths lengths) const { return (base_ - 1) * lengths[0]; }
  static std::int64_t columns(Lengths lengths) { return lengths[1] + 1; }
  static std::int64_t row_length(std::int64_t w) { return 3 * w + 1; }
};

}  // namespace

std::unique_ptr<Sheet> make_sheet(const std::string& name, std::int64_t base) {
  check_base(base);
  const auto b = static_cast<int>(base);
  if (name == "product") return std::make_unique<Product>(b);
  if (name == "sum") return std::make_unique<Sum>(b);
  if (name == "quotient") {
    if (b < 3) throw std::invalid_argument("long division by trials needs a base of at least 3, got 2");
    return std::make_unique<Quotient>(b);
  }
  throw std::invalid_argument("a worksheet is one of product, sum, quotient, got '" + name + "'");
}

}  // namespace arithtf::worksheets
