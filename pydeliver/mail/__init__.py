"""Mail as rules see it: lazy decoded views over bytes that are never changed.

`message` finds the header block and its fields, `words` decodes their text, `address` reads address lists,
`folding` is the one way to ignore case. `date` and `edit` are loaded by the rules that need them.

The room refuses the operating system and the clock, never raises on anything a message holds, takes linear time
and does not recurse over structure. Its limits are numbers at the tops of the modules; a message over a limit is
looked at as far as the limit goes and says so in `Message.limits`.
"""
