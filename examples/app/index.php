<?php
// A small application that knows nothing of logging in: it takes the word of whatever stands in front of it. It serves
// every example, behind a proxy (who it is stands in the headers) or inside Apache (in REMOTE_USER and VIPPS_…).
// To try it behind a proxy: php -S 127.0.0.1:8080 index.php

$style = 'body { font: 1em/1.5 sans-serif; margin: 1em } th, td { text-align: left; vertical-align: top; overflow-wrap: anywhere; padding-right: 1em }';
header('Cache-Control: private, no-store');
header("Content-Security-Policy: default-src 'none'; style-src 'sha256-" . base64_encode(hash('sha256', $style, true)) . "'; form-action 'self'; base-uri 'none'");
setcookie('visits', (string) (1 + (int) ($_COOKIE['visits'] ?? 0)), ['path' => '/', 'httponly' => true, 'samesite' => 'Lax']);
setcookie('theme', 'plain', ['path' => '/', 'samesite' => 'Lax']);

/** A value as HTML. All that is shown here may have been written by a client. */
function text(string $value): string
{
    return htmlspecialchars($value, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

$person = $_SERVER['REMOTE_USER'] ?? $_SERVER['HTTP_X_VIPPS_SUB'] ?? '';
$name = $_SERVER['VIPPS_NAME'] ?? $_SERVER['HTTP_X_VIPPS_NAME'] ?? '';
$received = array_filter(
    $_SERVER,
    fn ($key) => preg_match('/^(HTTP_|VIPPS_|REMOTE_USER$|REQUEST_URI$|REQUEST_METHOD$)/', (string) $key) && $key !== 'HTTP_COOKIE',
    ARRAY_FILTER_USE_KEY
);
ksort($received);
?>
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A legacy application</title>
<style><?= $style ?></style>
<h1><?= $person === '' ? 'Hello, whoever you are' : 'Hello, ' . text($name === '' ? $person : $name) ?></h1>
<?php if ($person !== '') : ?>
<p>You are known here as <code id="person"><?= text($person) ?></code>. <a href="/_vipps/logout">Log out</a></p>
<?php else : ?>
<p><a href="/_vipps/login">Log in</a></p>
<?php endif ?>
<?php if ($_SERVER['REQUEST_METHOD'] === 'POST') : ?>
<p>You wrote: <q id="wrote"><?= text((string) ($_POST['note'] ?? '')) ?></q> (<?= strlen((string) file_get_contents('php://input')) ?> bytes)</p>
<?php endif ?>
<form method="post">
<label>A note <input name="note"></label> <button>Send</button>
</form>
<h2>What this application received</h2>
<table>
<?php foreach ($received as $key => $value) : ?>
<tr><th><?= text((string) $key) ?></th><td><?= text((string) $value) ?></td></tr>
<?php endforeach ?>
<?php foreach ($_COOKIE as $key => $value) : ?>
<tr><th>Cookie <?= text((string) $key) ?></th><td><?= text(is_array($value) ? 'a list' : substr((string) $value, 0, 20)) ?></td></tr>
<?php endforeach ?>
</table>
