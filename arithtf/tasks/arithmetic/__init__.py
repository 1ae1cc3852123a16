"""Tasks on operands: sums, products, residues, strings of digits, with their scratchpads."""
