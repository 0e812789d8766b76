"""Whether what was acknowledged is there: ledgers, totals, checks of reads, and the journal for a successor."""
