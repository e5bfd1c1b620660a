# The twenty rules of twenty.rules.
require ["fileinto", "mailbox", "variables", "regex"];

if address :is "from" "boss@example.com" { fileinto :create "Boss"; stop; }
if address :is "from" ["mum@example.org", "dad@example.org", "kim@example.com", "lee@example.com"] {
    fileinto :create "Family"; stop;
}
if address :domain :is "from" "bank.example.net" { fileinto :create "Bank"; stop; }
if address :is ["to", "cc", "bcc"] "team@example.com" { fileinto :create "Team"; stop; }
if address :localpart :is "from" ["noreply", "no-reply", "notifications"] { fileinto :create "Robots"; stop; }

if header :contains "list-id" "gardening.lists.example.org" { fileinto :create "Gardening"; stop; }
if header :contains "list-id" "announce.lists.example.org" { fileinto :create "Announce"; stop; }
if header :is "precedence" ["bulk", "junk"] { fileinto :create "Bulk"; stop; }

if header :contains "subject" "invoice" { fileinto :create "Bills"; stop; }
if header :matches "subject" "Your order*" { fileinto :create "Orders"; stop; }
if header :matches "subject" "*report" { fileinto :create "Reports"; stop; }
if header :contains "subject" "weekly digest" { fileinto :create "Weekly"; stop; }

if size :over 10M { fileinto :create "Large"; stop; }

if header :regex "subject" "^\\[ticket [0-9]+\\]" { fileinto :create "Tickets"; stop; }
if header :regex "subject" "[0-9]{4}-[0-9]{2}-[0-9]{2}" { fileinto :create "Dates"; stop; }
if header :regex "subject" "winner|prize|lottery" { fileinto :create "Prizes"; stop; }
if header :regex "subject" "!{3,}" { fileinto :create "Shouting"; stop; }
if header :regex "x-mailer" "^Bulk.*[0-9]$" { fileinto :create "Mailer"; stop; }

if header :regex "list-id" "<([a-z0-9-]+)\\.lists\\.example\\.org>" { fileinto :create "lists/${1}"; stop; }
if header :regex "subject" "^\\[([a-z0-9-]+)\\]" { fileinto :create "tags/${1}"; stop; }
