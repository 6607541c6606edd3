"""CloudTrail log files in S3: where they lie (layout, bucket), what they hold (gunzip, records, parse), taking them."""
