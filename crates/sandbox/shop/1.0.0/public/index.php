<?php

declare(strict_types=1);

require dirname(__DIR__) . '/vendor/autoload.php';

(new Acme\Shop\Web\FrontController(Acme\Shop\Settings::fromEnvironment()))->answer(
    $_SERVER['REQUEST_METHOD'] ?? 'GET',
    parse_url($_SERVER['REQUEST_URI'] ?? '/', PHP_URL_PATH) ?: '/',
    $_GET,
);
